// Memory for QuickJS: blocks of few sizes from a growing arena, each freed one ready for the next of its size. A program
// that lives for milliseconds asks for tens of thousands of small blocks, and malloc(3) was a quarter of its time.

#include "memory.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
  UNIT_BYTES = 16,
  SMALL_UNITS = 32, // larger ones are malloc's
  ARENA_BYTES = 256 << 10,
};

// Before each block, its size in units with this header; 0 for one of malloc's.
typedef size_t header;
enum { HEADER_BYTES = sizeof(header) };

struct block {
  header units;
  struct block *next; // where the caller's bytes begin; only while it is free
};

static struct block *free_blocks[SMALL_UNITS + 1];
static char *arena, *arena_end;

static size_t units_for(size_t size) {
  return (size + HEADER_BYTES + UNIT_BYTES - 1) / UNIT_BYTES;
}

static header *header_of(const void *bytes) {
  return (header *)bytes - 1;
}

// A large block has its size in a word of its own before the header.
static size_t usable(const void *bytes) {
  size_t units = *header_of(bytes);
  return units ? units * UNIT_BYTES - HEADER_BYTES : ((size_t *)bytes)[-2];
}

static void *allocate_large(size_t size) {
  size_t *words = malloc(size + UNIT_BYTES);
  if (words == NULL) return NULL;
  words[0] = size;
  words[1] = 0;
  return words + 2;
}

static void *allocate_small(size_t units) {
  struct block *block = free_blocks[units];
  if (block) {
    free_blocks[units] = block->next;
    return &block->next;
  }
  size_t bytes = units * UNIT_BYTES;
  if (arena_end - arena < (ptrdiff_t)bytes) {
    // What is left of the old one is less than the largest of small blocks.
    // All of it at once: page by page the kernel would be asked a hundred times.
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    char *fresh = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (fresh == MAP_FAILED) return NULL;
    arena = fresh;
    arena_end = fresh + ARENA_BYTES;
  }
  block = (struct block *)arena;
  arena += bytes;
  block->units = units;
  return &block->next;
}

static void *allocate(JSMallocState *state, size_t size) {
  if (size > state->malloc_limit - state->malloc_size) return NULL;
  size_t units = units_for(size);
  void *bytes = units <= SMALL_UNITS ? allocate_small(units) : allocate_large(size);
  if (bytes == NULL) return NULL;
  state->malloc_count++;
  state->malloc_size += usable(bytes);
  return bytes;
}

static void release(JSMallocState *state, void *bytes) {
  if (bytes == NULL) return;
  state->malloc_count--;
  state->malloc_size -= usable(bytes);
  size_t units = *header_of(bytes);
  if (units == 0) {
    free((size_t *)bytes - 2);
  } else {
    struct block *block = (struct block *)header_of(bytes);
    block->next = free_blocks[units];
    free_blocks[units] = block;
  }
}

static void *resize(JSMallocState *state, void *bytes, size_t size) {
  if (bytes == NULL) return size ? allocate(state, size) : NULL;
  if (size == 0) return release(state, bytes), NULL;
  size_t before = usable(bytes);
  if (*header_of(bytes) != 0 && size <= before) return bytes;
  void *moved = allocate(state, size);
  if (moved == NULL) return NULL;
  memcpy(moved, bytes, size < before ? size : before);
  release(state, bytes);
  return moved;
}

const JSMallocFunctions memory_functions = {allocate, release, resize, usable};
