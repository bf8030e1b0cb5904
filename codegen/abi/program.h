#pragma once
/* The C ABI of a compiled program: what the runtime knows of it. Plain C, no LLVM, no compiler
 * types. A program is a step function over a table of buffer pointers and a vector of symbolic
 * dimensions. */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dlc_dtype { DLC_F32, DLC_F64, DLC_BF16, DLC_F16, DLC_I32, DLC_I64, DLC_U8, DLC_BOOL };
enum dlc_buffer_kind {
  DLC_INPUT,    /* bound by the caller: a data column, or the row indices ("rows") */
  DLC_PARAM,    /* bound by the caller, updated in place */
  DLC_STATE,    /* likewise */
  DLC_SCALAR,   /* i64[] by the caller: "seed", "step", "epoch" */
  DLC_CONSTANT, /* points into the program */
  DLC_OUTPUT,   /* bound by the caller, written */
  DLC_TEMP      /* lives in the arena */
};

/* A dimension: constant + sum of coefficient * product of symbols; symbol indices -1 are unused. */
typedef struct dlc_term {
  int64_t coefficient;
  int32_t symbols[4];
} dlc_term;
typedef struct dlc_dim {
  int64_t constant;
  int32_t num_terms;
  const dlc_term* terms;
} dlc_dim;

typedef struct dlc_buffer {
  const char* name;
  int32_t kind;  /* dlc_buffer_kind */
  int32_t dtype; /* dlc_dtype */
  int32_t rank;
  const dlc_dim* shape;
  dlc_dim arena_offset; /* DLC_TEMP: bytes */
  const void* data;     /* DLC_CONSTANT */
  int32_t alias;        /* DLC_OUTPUT that updates this buffer in place, or -1 */
} dlc_buffer;

/* One task of a kernel: points [begin, end) of its split axis. `buffers` is a table of the kernel's
 * own, valid until the kernel is done. */
typedef void (*dlc_kernel_fn)(void* const* buffers, const int64_t* dims, int64_t begin,
                              int64_t end);
/* Runs fn over [0, count) in chunks of `grain` points, on any number of threads, and waits. The
 * chunks depend on count and grain alone. */
typedef void (*dlc_parallel_for)(void* pool, dlc_kernel_fn fn, void* const* buffers,
                                 const int64_t* dims, int64_t count, int64_t grain);

typedef struct dlc_call {
  void* const* buffers; /* num_buffers pointers, arena and constants included */
  const int64_t* dims;  /* num_symbols values */
  void* pool;
  dlc_parallel_for parallel_for;
} dlc_call;

typedef struct dlc_program {
  uint32_t abi_version; /* DLC_ABI_VERSION */
  const char* name;
  int32_t num_buffers;
  const dlc_buffer* buffers;
  int32_t num_symbols;
  const char* const* symbols;
  dlc_dim arena_bytes;
  void (*run)(const dlc_call* call);
} dlc_program;

#define DLC_ABI_VERSION 1u

#ifdef __cplusplus
}
#endif
