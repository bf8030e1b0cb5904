#pragma once
/* The C ABI of a compiled program: what the runtime knows of it. Plain C, no LLVM, no compiler
 * types. A program is a step function over a table of buffer pointers and a vector of symbolic
 * dimensions. */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DLC_ARENA_ALIGNMENT 64

enum dlc_dtype { DLC_F32, DLC_F64, DLC_BF16, DLC_F16, DLC_I32, DLC_I64, DLC_U8, DLC_BOOL };
enum dlc_buffer_kind {
  DLC_INPUT,    /* bound by the caller: a data column, or the row indices ("rows") */
  DLC_PARAM,    /* bound by the caller, updated in place */
  DLC_STATE,    /* likewise */
  DLC_SCALAR,   /* i64[] by the caller: "seed", "step", "epoch" */
  DLC_CONSTANT, /* points into the program */
  DLC_OUTPUT,   /* bound by the caller, written */
  DLC_TEMP,     /* lives in the arena */
  DLC_LOCAL     /* of a kernel's own: nobody binds it */
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
  dlc_dim arena_offset; /* DLC_TEMP: bytes, to be rounded up to DLC_ARENA_ALIGNMENT */
  const void* data;     /* DLC_CONSTANT */
  int32_t alias;        /* DLC_OUTPUT that updates this buffer in place, or -1 */
} dlc_buffer;

/* One task of a kernel: points [begin, end) of its split axis. `buffers` is a table of the kernel's
 * own, valid until the kernel is done; the last entry is the call's `scratch`. */
typedef void (*dlc_kernel_fn)(void* const* buffers, const int64_t* dims, int64_t begin,
                              int64_t end);
/* Runs fn over [0, count) in chunks of `grain` points, on any number of threads, and waits. The
 * chunks depend on count and grain alone. */
typedef void (*dlc_parallel_for)(void* pool, dlc_kernel_fn fn, void* const* buffers,
                                 const int64_t* dims, int64_t count, int64_t grain);

/* Working memory of the calling thread: `bytes` of it at least, aligned to 64. The next call on the
 * same thread may give it out again. */
typedef void* (*dlc_scratch)(int64_t bytes);

/* Told when kernel number `kernel` is done. Called only by programs that are compiled for it. */
typedef void (*dlc_kernel_hook)(void* data, int32_t kernel);

typedef struct dlc_call {
  void* const* buffers; /* num_buffers pointers, arena and constants included */
  const int64_t* dims;  /* num_symbols values */
  void** tables;        /* table_entries pointers of working memory */
  void* pool;
  dlc_parallel_for parallel_for;
  dlc_scratch scratch;
  dlc_kernel_hook on_kernel;
  void* hook_data;
} dlc_call;

/* Steps in a row: how run_steps() is told what to do, and tells what it did. */
typedef struct dlc_steps {
  int64_t max_steps;         /* at least 1 */
  const unsigned char* stop; /* ends the call after the step during which it becomes non-zero */
  double* sums;              /* for each metric: its sum over steps, times the rows of a step */
  int64_t done;              /* out: steps done, the one with the bad loss included */
  double loss, loss_before;  /* out: of the last step, and of the one before if there was one */
} dlc_steps;

typedef struct dlc_program {
  uint32_t abi_version; /* DLC_ABI_VERSION */
  const char* name;
  int32_t num_buffers;
  const dlc_buffer* buffers;
  int32_t num_symbols;
  const char* const* symbols;
  dlc_dim arena_bytes;
  int64_t table_entries;  /* of dlc_call.tables */
  int32_t rows_buffer;    /* the row numbers of the batch (i32[rows of the batch]), or -1 */
  int32_t step_buffer;    /* the scalar "step", or -1 */
  int32_t num_metrics;    /* the scalar outputs, loss first, but for those that are watched */
  const int32_t* metrics; /* their buffers */
  void (*run)(const dlc_call* call);
  /* run() up to max_steps times. After each step the row numbers of the next one begin where its
   * own ended, "step" is one more, and each metric is added to its sum (in f64: the rows, or 1
   * without row numbers, times the metric). Ends early after a step with a loss that is not finite,
   * whose metrics are not added. NULL for a program that is not made to be repeated. */
  void (*run_steps)(const dlc_call* call, dlc_steps* steps);
} dlc_program;

#define DLC_ABI_VERSION 3u

#ifdef __cplusplus
}
#endif
