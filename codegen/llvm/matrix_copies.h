#pragma once
// Functions that copy operands for the unit for matrices (matrix_operands.h). A module has one of a
// kind, for all of its kernels; it is made when it is first asked for. None changes the unit's
// registers.
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

namespace dlc {

struct CopyKind {
  int parts;       // of an element: 3 of f32, 1 of bf16
  bool whole;      // a step's products all exist
  bool by_table;   // places of rows (or of products, where there is one each) are in a table of i64
  bool by_choice;  // which rows are inside of a frame is in a table of i64
};

/// Rows that follow the sum, to one line of each: void(ptr u, i64 x, i64 y, ptr or i64 rows, ptr
/// chosen, i64 from, i64 to, i64 left, ptr line, i64 line_step). The halves of the step's products
/// begin at x and y elements from a row; rows [from, to) lie as a table says or `rows` apart;
/// `left` products exist, where the step is not whole.
llvm::Function* copy_rows_function(llvm::Module& m, const CopyKind& kind);

/// 16 rows, side by side in memory, of products that each have a row of memory: void(ptr u, ptr or
/// i64 products, i64 rows, i64 left, ptr line, i64 line_step). `rows` of them exist.
llvm::Function* turn_products_function(llvm::Module& m, const CopyKind& kind);

/// 16 columns of V whose products follow one another, to lines of pairs: void(ptr v, i64 x, i64 y,
/// i64 columns, i64 last, i64 left, ptr line, i64 line_step, i64 part_step). Columns are `columns`
/// apart; those behind the `last` repeat it.
llvm::Function* turn_columns_function(llvm::Module& m, const CopyKind& kind);

}  // namespace dlc
