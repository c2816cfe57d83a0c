// compile NAME SOURCE TARGET: makes bytecode of the module in SOURCE, for engine.c to find by that name.
// What a module imports is found when the program runs.

#include <quickjs.h>
#include <stdio.h>
#include <stdlib.h>

static char *read_all(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) return NULL;
  *length = ftell(file);
  rewind(file);
  char *text = calloc(*length + 1, 1); // QuickJS wants a NUL behind it
  if (text == NULL || fread(text, 1, *length, file) != *length) return NULL;
  fclose(file);
  return text;
}

static int fill_with_nothing(JSContext *ctx, JSModuleDef *module) {
  return 0;
}

// Stands for whatever is imported.
static JSModuleDef *load(JSContext *ctx, const char *name, void *opaque) {
  return JS_NewCModule(ctx, name, fill_with_nothing);
}

int main(int argc, char **argv) {
  if (argc != 4) return fputs("Usage: compile NAME SOURCE TARGET\n", stderr), 2;
  size_t length, size;
  char *text = read_all(argv[2], &length);
  if (text == NULL) return perror(argv[2]), 1;

  JSRuntime *runtime = JS_NewRuntime();
  JSContext *ctx = JS_NewContext(runtime);
  JS_SetModuleLoaderFunc(runtime, NULL, load, NULL);
  JS_SetStripInfo(runtime, JS_STRIP_SOURCE | JS_STRIP_DEBUG);
  JSValue module = JS_Eval(ctx, text, length, argv[1], JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(module)) {
    JSValue error = JS_GetException(ctx);
    JSValue stack = JS_GetPropertyStr(ctx, error, "stack");
    return fprintf(stderr, "%s\n%s", JS_ToCString(ctx, error), JS_ToCString(ctx, stack)), 1;
  }

  uint8_t *bytecode = JS_WriteObject(ctx, &size, module, JS_WRITE_OBJ_BYTECODE);
  FILE *file = fopen(argv[3], "wb");
  if (bytecode == NULL || file == NULL || fwrite(bytecode, 1, size, file) != size || fclose(file) != 0)
    return perror(argv[3]), 1;
  return 0;
}
