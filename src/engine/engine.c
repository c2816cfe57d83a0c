// The engine that bin/slash32 runs on: QuickJS, the program's modules as bytecode, and one module in C, "engine", with
// what JavaScript alone cannot do. What the program takes for granted beside the language (bun:ffi, TextEncoder, process)
// is made of that in ffi.ts and globals.ts.

#include "memory.h"
#include <fcntl.h>
#include <quickjs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// Made by scripts/build.ts: the modules, globals first, and the C functions that src/ declares in its dlopen() calls.
struct module {
  const char *name;
  const uint8_t *start, *end;
};
struct symbol {
  const char *name;
  void *address;
};
extern const struct module modules[];
extern const struct symbol symbols[]; // by name
extern const size_t symbol_count;

enum {
  // A verb is over long before; what runs on, `log --follow`, leaves few cycles.
  GARBAGE_BYTES = 64 << 20,
  // JSON may be nested deeply. Of this only what is used is memory.
  STACK_BYTES = 64 << 20,
  STACK_RESERVE_BYTES = 1 << 20, // for C, SQLite above all, at the deepest place
  MOST_ARGUMENTS = 6,
  KEPT_ARRAYS = 16,
};

// What a C function returns, as ffi.ts numbers it.
enum kind { KIND_VOID, KIND_I32, KIND_U32, KIND_I64, KIND_POINTER };

extern char **environ;

// An integer, an address, or null.
static int to_word(JSContext *ctx, int64_t *word, JSValueConst value) {
  *word = 0;
  if (JS_IsNull(value)) return 0;
  return JS_ToInt64Ext(ctx, word, value);
}

static JSValue from_word(JSContext *ctx, enum kind kind, int64_t word) {
  switch (kind) {
    case KIND_VOID: return JS_UNDEFINED;
    case KIND_I32: return JS_NewInt32(ctx, (int32_t)word);
    case KIND_U32: return JS_NewUint32(ctx, (uint32_t)word);
    case KIND_I64: return JS_NewInt64(ctx, word);
    case KIND_POINTER: return word == 0 ? JS_NULL : JS_NewInt64(ctx, word);
  }
  return JS_UNDEFINED;
}

// Calls a C function. Integers and pointers, up to six, are passed alike on x86-64 and arm64: one in each register,
// whatever their widths, also to functions with "..." in their prototype.
static JSValue call(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv, int kind, JSValue *bound) {
  typedef int64_t function(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
  int64_t address, words[MOST_ARGUMENTS] = {0};
  if (argc > MOST_ARGUMENTS) return JS_ThrowTypeError(ctx, "Cannot call C with more than six arguments");
  if (JS_ToInt64(ctx, &address, bound[0])) return JS_EXCEPTION;
  for (int at = 0; at < argc; at++) {
    if (to_word(ctx, &words[at], argv[at])) return JS_EXCEPTION;
  }
  int64_t word =
      ((function *)(intptr_t)address)(words[0], words[1], words[2], words[3], words[4], words[5]);
  return from_word(ctx, kind, word);
}

static int compare_name(const void *name, const void *symbol) {
  return strcmp(name, ((const struct symbol *)symbol)->name);
}

// bind(name, kind): a function that calls the C function of that name.
static JSValue bind_symbol(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  int32_t kind;
  if (JS_ToInt32(ctx, &kind, argv[1])) return JS_EXCEPTION;
  const char *name = JS_ToCString(ctx, argv[0]);
  if (name == NULL) return JS_EXCEPTION;
  const struct symbol *symbol = bsearch(name, symbols, symbol_count, sizeof *symbols, compare_name);
  JSValue result;
  if (symbol == NULL) {
    result = JS_ThrowReferenceError(ctx, "Cannot call %s: it is not linked in", name);
  } else {
    JSValue address = JS_NewInt64(ctx, (intptr_t)symbol->address);
    result = JS_NewCFunctionData(ctx, call, 0, kind, 1, &address);
  }
  JS_FreeCString(ctx, name);
  return result;
}

// The memory of an array over a buffer; NULL and an exception for anything else.
static uint8_t *memory_of(JSContext *ctx, JSValueConst array, size_t *length) {
  size_t offset, size;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, array, &offset, length, NULL);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *start = JS_GetArrayBuffer(ctx, &size, buffer);
  JS_FreeValue(ctx, buffer); // the array holds it
  return start ? start + offset : NULL;
}

// address(array): where it is. An array that nobody keeps lives on until KEPT_ARRAYS more were asked for: in `f(ptr(g()))`
// nobody does.
static JSValue address_of(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  static JSValue kept[KEPT_ARRAYS]; // all 0 is the integer 0
  static unsigned next;
  size_t length;
  uint8_t *start = memory_of(ctx, argv[0], &length);
  if (start == NULL) return JS_EXCEPTION;
  JS_FreeValue(ctx, kept[next]);
  kept[next] = JS_DupValue(ctx, argv[0]);
  next = (next + 1) % KEPT_ARRAYS;
  return JS_NewInt64(ctx, (intptr_t)start);
}

// memory(address, length): a buffer over what is there; nobody's copy.
static JSValue memory_at(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  int64_t address, length;
  if (JS_ToInt64(ctx, &address, argv[0]) || JS_ToInt64(ctx, &length, argv[1])) return JS_EXCEPTION;
  return JS_NewArrayBuffer(ctx, (uint8_t *)(intptr_t)address, length, NULL, NULL, 0);
}

// text(address): of the C string there.
static JSValue text_at(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  int64_t address;
  if (JS_ToInt64(ctx, &address, argv[0])) return JS_EXCEPTION;
  return JS_NewString(ctx, (const char *)(intptr_t)address);
}

// encode(text): a buffer of its UTF-8.
static JSValue encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  size_t length;
  const char *utf8 = JS_ToCStringLen(ctx, &length, argv[0]);
  if (utf8 == NULL) return JS_EXCEPTION;
  JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)utf8, length);
  JS_FreeCString(ctx, utf8);
  return buffer;
}

// decode(array): the text of UTF-8.
static JSValue decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  size_t length;
  uint8_t *utf8 = memory_of(ctx, argv[0], &length);
  return utf8 ? JS_NewStringLen(ctx, (const char *)utf8, length) : JS_EXCEPTION;
}

// environment(): an object of its variables.
static JSValue environment(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  JSValue object = JS_NewObject(ctx);
  for (char **entry = environ; *entry; entry++) {
    const char *equals = strchr(*entry, '=');
    if (equals == NULL) continue;
    JSAtom name = JS_NewAtomLen(ctx, *entry, equals - *entry);
    JS_DefinePropertyValue(ctx, object, name, JS_NewString(ctx, equals + 1), JS_PROP_C_W_E);
    JS_FreeAtom(ctx, name);
  }
  return object;
}

// exit(status): at once.
static JSValue exit_now(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  int32_t status = 1;
  JS_ToInt32(ctx, &status, argv[0]);
  _exit(status);
}

static const JSCFunctionListEntry engine_functions[] = {
    JS_CFUNC_DEF("bind", 2, bind_symbol),
    JS_CFUNC_DEF("address", 1, address_of),
    JS_CFUNC_DEF("memory", 2, memory_at),
    JS_CFUNC_DEF("text", 1, text_at),
    JS_CFUNC_DEF("encode", 1, encode),
    JS_CFUNC_DEF("decode", 1, decode),
    JS_CFUNC_DEF("environment", 0, environment),
    JS_CFUNC_DEF("exit", 1, exit_now),
};
enum { ENGINE_FUNCTIONS = sizeof engine_functions / sizeof *engine_functions };

static int engine_argc;
static char **engine_argv;

static int fill_engine_module(JSContext *ctx, JSModuleDef *module) {
  JSValue list = JS_NewArray(ctx);
  for (int at = 0; at < engine_argc; at++) {
    JS_DefinePropertyValueUint32(ctx, list, at, JS_NewString(ctx, engine_argv[at]), JS_PROP_C_W_E);
  }
  JS_SetModuleExport(ctx, module, "argv", list);
  return JS_SetModuleExportList(ctx, module, engine_functions, ENGINE_FUNCTIONS);
}

static JSModuleDef *new_engine_module(JSContext *ctx) {
  JSModuleDef *module = JS_NewCModule(ctx, "engine", fill_engine_module);
  if (module == NULL) return NULL;
  JS_AddModuleExport(ctx, module, "argv");
  JS_AddModuleExportList(ctx, module, engine_functions, ENGINE_FUNCTIONS);
  return module;
}

// Every module has one name, wherever it is imported.
static char *same_name(JSContext *ctx, const char *from, const char *name, void *opaque) {
  return js_strdup(ctx, name);
}

static JSModuleDef *load(JSContext *ctx, const char *name, void *opaque) {
  if (strcmp(name, "engine") == 0) return new_engine_module(ctx);
  const struct module *module = modules;
  while (module->name && strcmp(module->name, name) != 0) module++;
  if (module->name == NULL) {
    JS_ThrowReferenceError(ctx, "Cannot import %s: it is not linked in", name);
    return NULL;
  }
  JSValue read = JS_ReadObject(ctx, module->start, module->end - module->start, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(read) || JS_ResolveModule(ctx, read) < 0) return NULL;
  return JS_VALUE_GET_PTR(read);
}

// A bug: nothing of the program's own is left to catch it.
static void die(JSContext *ctx, JSValueConst error) {
  const char *words = JS_ToCString(ctx, error);
  JSValue stack = JS_GetPropertyStr(ctx, error, "stack");
  const char *trace = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL;
  fprintf(stderr, "slash32: %s\n%s", words ? words : "an error that has no words", trace ? trace : "");
  _exit(1);
}

static void die_of_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, JS_BOOL is_handled,
                             void *opaque) {
  if (!is_handled) die(ctx, reason);
}

static void import(JSContext *ctx, const char *name) {
  JSModuleDef *module = load(ctx, name, NULL);
  JSValue result = module ? JS_EvalFunction(ctx, JS_MKPTR(JS_TAG_MODULE, module)) : JS_EXCEPTION;
  if (JS_IsException(result)) die(ctx, JS_GetException(ctx));
}

// Runs on the large stack; does not return.
static void run(void) {
  JSRuntime *runtime = JS_NewRuntime2(&memory_functions, NULL);
  JSContext *ctx = runtime ? JS_NewContext(runtime) : NULL;
  if (ctx == NULL) {
    fputs("slash32: Cannot start: out of memory\n", stderr);
    _exit(1);
  }
  JS_SetGCThreshold(runtime, GARBAGE_BYTES);
  JS_SetMaxStackSize(runtime, STACK_BYTES - STACK_RESERVE_BYTES);
  JS_SetModuleLoaderFunc(runtime, same_name, load, NULL);
  JS_SetHostPromiseRejectionTracker(runtime, die_of_rejection, NULL);
  import(ctx, "globals");
  // A container runtime calls, or a person.
  const char *verb = getenv("CNI_COMMAND");
  import(ctx, verb && *verb ? "main" : "cli");
  JSContext *of_job;
  int ran;
  while ((ran = JS_ExecutePendingJob(runtime, &of_job)) > 0) continue;
  if (ran < 0) die(of_job, JS_GetException(of_job));
  // The program leaves by exit(): who comes here waits for what will never be.
  fputs("slash32: Cannot end: nothing is left to do\n", stderr);
  _exit(1);
}

// Whoever starts us without standard input, output or error: what is opened next must not take their places.
static void open_standard_descriptors(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) == -1) open("/dev/null", O_RDWR);
  }
}

int main(int argc, char **argv) {
  engine_argc = argc;
  engine_argv = argv;
  open_standard_descriptors();
  signal(SIGPIPE, SIG_IGN); // a reader that is gone is an error of write(2)

  static ucontext_t context;
  void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
                     -1, 0);
  if (stack == MAP_FAILED || getcontext(&context) != 0) {
    perror("slash32: Cannot start");
    return 1;
  }
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = STACK_BYTES;
  makecontext(&context, run, 0);
  setcontext(&context);
  perror("slash32: Cannot start");
  return 1;
}
