#pragma once
// Text to syntax tree. Reports every syntax error of the file (recovering after each) and returns
// the items that could be read; never throws on any input, however malformed or deeply nested.
#include "frontend/ast.h"
#include "ir/support/diagnostics.h"

namespace dlc {

ast::File parse(const Sources& sources, int source, Diagnostics& diagnostics);
/// One expression, as given to `--set name=EXPR`; null when an error was reported.
ast::ExprPtr parse_expression(const Sources& sources, int source, Diagnostics& diagnostics);
/// The tree as indented text, for `--stage ast`.
std::string print(const ast::File& file);

}  // namespace dlc
