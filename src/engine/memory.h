// For JS_NewRuntime2. One thread only.

#include <quickjs.h>

extern const JSMallocFunctions memory_functions;
