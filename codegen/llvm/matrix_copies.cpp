#include "codegen/llvm/matrix_copies.h"

#include <fmt/format.h>

#include <functional>
#include <vector>

#include "codegen/llvm/bf16_parts.h"
#include "codegen/llvm/loops.h"
#include "codegen/llvm/turn.h"
#include "codegen/native/contract_schedule.h"

namespace dlc {

using llvm::Value;

namespace {

constexpr int kHalf = kMatrixProducts / 2;
constexpr std::int64_t kLine = 64;

/// A function while it is emitted.
class Copy {
 public:
  Copy(llvm::Function* f, const CopyKind& kind)
      : kind_(kind), b_(llvm::BasicBlock::Create(f->getContext(), "entry", f)), f_(f) {
    if (kind.parts > 1) upper_ = emit_upper_mask(b_, words(kHalf));
  }
  void finish() { b_.CreateRetVoid(); }

  llvm::IRBuilder<>& b() { return b_; }
  Value* argument(unsigned k) { return f_->getArg(k); }
  Value* number(std::int64_t v) { return b_.getInt64(static_cast<std::uint64_t>(v)); }
  Value* smaller(Value* x, Value* y) {
    return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y);
  }
  llvm::Type* element() { return kind_.parts > 1 ? b_.getFloatTy() : b_.getInt16Ty(); }
  llvm::FixedVectorType* words(int lanes) {
    return llvm::FixedVectorType::get(b_.getInt32Ty(), static_cast<unsigned>(lanes));
  }
  Value* lanes_below(Value* count, int lanes) { return emit_lanes_below(b_, count, lanes); }
  /// Elements of memory; `mask`: null for all.
  Value* load(Value* first, Value* offset, int lanes, Value* mask) {
    llvm::Type* type = llvm::FixedVectorType::get(element(), static_cast<unsigned>(lanes));
    Value* at = b_.CreateGEP(element(), first, offset);
    const llvm::Align align(kind_.parts > 1 ? 4 : 2);
    if (!mask) return b_.CreateAlignedLoad(type, at, align);
    return b_.CreateMaskedLoad(type, at, align, mask, llvm::Constant::getNullValue(type));
  }
  /// Entry `at` of what is a table, or else a step.
  Value* place(Value* table_or_step, Value* at) {
    if (!kind_.by_table) return b_.CreateMul(at, table_or_step);
    return b_.CreateLoad(b_.getInt64Ty(), b_.CreateGEP(b_.getInt64Ty(), table_or_step, at));
  }

  void store(Value* v, Value* line, Value* offset) {
    b_.CreateAlignedStore(v, b_.CreateGEP(b_.getInt8Ty(), line, offset), llvm::Align(kLine));
  }
  /// The pairs of two vectors of f32, part by part.
  void store_parts(Value* x, Value* y, Value* line, Value* offset, Value* part_step) {
    for (Value* pairs : emit_pairs_of_parts(b_, x, y, upper_)) {
      store(pairs, line, offset);
      offset = b_.CreateAdd(offset, part_step);
    }
  }

  /// 16 lines of 64 bytes, turned over.
  std::vector<Value*> turned(const std::function<Value*(int line)>& line) {
    std::vector<Value*> lines;
    for (int r = 0; r < kMatrixRows; ++r) lines.push_back(line(r));
    return emit_turned(b_, std::move(lines));
  }
  /// Of 16 lines for each half of a step, whose first product is 0 or 16, 16 of pairs. By way of
  /// memory, for there to be one copy of the code that makes parts, and of all else where masks
  /// have to be made.
  void store_turned(const std::function<Value*(Value* first, Value* line)>& load, Value* line,
                    Value* line_step, Value* part_step) {
    llvm::Type* vector = llvm::FixedVectorType::get(element(), kHalf);
    llvm::AllocaInst* place =
        emit_variable(b_, llvm::ArrayType::get(vector, 2 * kMatrixRows), "turned");
    place->setAlignment(llvm::Align(kLine));
    const auto at = [&](Value* first, Value* k) {
      return b_.CreateGEP(vector, place, b_.CreateAdd(first, k));
    };
    const auto kept = [&](Value* first, Value* k) -> Value* {
      return b_.CreateAlignedLoad(vector, at(first, k), llvm::Align(kLine));
    };
    const auto keep = [&](Value* v, Value* first, Value* k) {
      b_.CreateAlignedStore(v, at(first, k), llvm::Align(kLine));
    };
    const auto turn = [&](Value* first, const auto& source) {
      const std::vector<Value*> lines = turned([&](int r) { return source(first, number(r)); });
      for (int r = 0; r < kMatrixRows; ++r)
        keep(lines[static_cast<std::size_t>(r)], first, number(r));
    };
    if (kind_.whole) {
      for (const int first : {0, kHalf}) turn(number(first), load);
    } else {
      emit_loop(b_, number(0), number(kMatrixProducts), kHalf, "half", [&](Value* first) {
        emit_loop(b_, number(0), number(kMatrixRows), 1, "load",
                  [&](Value* k) { keep(load(first, k), first, k); });
        turn(first, kept);
      });
    }
    emit_loop(b_, number(0), number(kMatrixRows), 1, "line", [&](Value* r) {
      store_parts(kept(number(0), r), kept(number(kHalf), r), line, b_.CreateMul(r, line_step),
                  part_step);
    });
  }
  void store_lines(const std::vector<Value*>& lines, Value* line, Value* line_step) {
    for (int r = 0; r < kMatrixRows; ++r)
      store(lines[static_cast<std::size_t>(r)], line, b_.CreateMul(number(r), line_step));
  }

 private:
  const CopyKind kind_;
  llvm::IRBuilder<> b_;
  llvm::Function* f_;
  Value* upper_ = nullptr;
};

enum class Argument { Number, Pointer };

llvm::Function* function(llvm::Module& m, const char* name, const CopyKind& kind,
                         const std::vector<Argument>& arguments,
                         const std::function<void(Copy&)>& body) {
  const std::string full =
      fmt::format("{}.{}{}{}{}", name, kind.parts, kind.whole ? "" : ".masked",
                  kind.by_table ? ".table" : "", kind.by_choice ? ".chosen" : "");
  if (llvm::Function* known = m.getFunction(full)) return known;
  llvm::LLVMContext& c = m.getContext();
  std::vector<llvm::Type*> types;
  for (const Argument a : arguments)
    types.push_back(a == Argument::Pointer ? static_cast<llvm::Type*>(llvm::PointerType::get(c, 0))
                                           : llvm::Type::getInt64Ty(c));
  llvm::Function* f =
      llvm::Function::Create(llvm::FunctionType::get(llvm::Type::getVoidTy(c), types, false),
                             llvm::Function::PrivateLinkage, full, m);
  f->addFnAttr(llvm::Attribute::NoInline);
  Copy copy(f, kind);
  body(copy);
  copy.finish();
  return f;
}

using enum Argument;

}  // namespace

llvm::Function* copy_rows_function(llvm::Module& m, const CopyKind& kind) {
  const Argument rows = kind.by_table ? Pointer : Number;
  return function(
      m, "copy_rows", kind,
      {Pointer, Number, Number, rows, Pointer, Number, Number, Number, Pointer, Number},
      [&](Copy& c) {
        llvm::IRBuilder<>& b = c.b();
        emit_loop(b, c.argument(5), c.argument(6), 1, "row", [&](Value* row) {
          Value* left = c.argument(7);
          if (kind.by_choice) {
            Value* chosen =
                b.CreateLoad(b.getInt64Ty(), b.CreateGEP(b.getInt64Ty(), c.argument(4), row));
            Value* all = kind.whole ? c.number(kMatrixProducts) : left;
            left = b.CreateSelect(b.CreateICmpNE(chosen, c.number(0)), all, c.number(0));
          }
          const bool all = kind.whole && !kind.by_choice;
          Value* begin = c.place(c.argument(3), row);
          const auto products = [&](unsigned first, int from, int lanes) {
            Value* mask = all ? nullptr : c.lanes_below(b.CreateSub(left, c.number(from)), lanes);
            return c.load(c.argument(0), b.CreateAdd(begin, c.argument(first)), lanes, mask);
          };
          Value* line = b.CreateMul(row, c.argument(9));
          if (kind.parts == 1)
            c.store(products(1, 0, kMatrixProducts), c.argument(8), line);
          else
            c.store_parts(products(1, 0, kHalf), products(2, kHalf, kHalf), c.argument(8), line,
                          c.number(kLine));
        });
      });
}

llvm::Function* turn_products_function(llvm::Module& m, const CopyKind& kind) {
  const Argument products = kind.by_table ? Pointer : Number;
  return function(
      m, "turn_products", kind, {Pointer, products, Number, Number, Pointer, Number}, [&](Copy& c) {
        llvm::IRBuilder<>& b = c.b();
        Value* mask = c.lanes_below(c.argument(2), kMatrixRows);
        Value* none = llvm::Constant::getNullValue(mask->getType());
        const auto line = [&](Value* at) {
          Value* here = mask;
          if (!kind.whole) {
            // Where there is none, one that is there is named.
            Value* exists = b.CreateICmpSLT(at, c.argument(3));
            at = b.CreateSelect(exists, at, c.number(0));
            here = b.CreateSelect(exists, mask, none);
          }
          return c.load(c.argument(0), c.place(c.argument(1), at), kMatrixRows, here);
        };
        if (kind.parts > 1)
          return c.store_turned([&](Value* first, Value* k) { return line(b.CreateAdd(first, k)); },
                                c.argument(4), c.argument(5), c.number(kLine));
        c.store_lines(c.turned([&](int k) {
          return emit_pairs(b, line(c.number(2 * k)), line(c.number(2 * k + 1)));
        }),
                      c.argument(4), c.argument(5));
      });
}

llvm::Function* turn_columns_function(llvm::Module& m, const CopyKind& kind) {
  return function(
      m, "turn_columns", kind,
      {Pointer, Number, Number, Number, Number, Number, Pointer, Number, Number}, [&](Copy& c) {
        llvm::IRBuilder<>& b = c.b();
        const auto line = [&](Value* begin, Value* from, int lanes, Value* column) {
          Value* mask =
              kind.whole ? nullptr : c.lanes_below(b.CreateSub(c.argument(5), from), lanes);
          Value* at = b.CreateMul(c.smaller(column, c.argument(4)), c.argument(3));
          return c.load(c.argument(0), b.CreateAdd(at, begin), lanes, mask);
        };
        if (kind.parts > 1)
          return c.store_turned(
              [&](Value* first, Value* column) {
                Value* is_first = b.CreateICmpEQ(first, c.number(0));
                return line(b.CreateSelect(is_first, c.argument(1), c.argument(2)), first, kHalf,
                            column);
              },
              c.argument(6), c.argument(7), c.argument(8));
        c.store_lines(c.turned([&](int column) {
          return b.CreateBitCast(
              line(c.argument(1), c.number(0), kMatrixProducts, c.number(column)), c.words(kHalf));
        }),
                      c.argument(6), c.argument(7));
      });
}

}  // namespace dlc
