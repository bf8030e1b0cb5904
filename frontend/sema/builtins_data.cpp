// Static helpers, and the readers of data blocks.
#include <algorithm>
#include <cmath>

#include "frontend/sema/builtins.h"

namespace dlc::sema {

namespace {

Val assert_that(Evaluator& ev, Frame&, const Args& a, Span span) {
  const bool* c = a[0].value.get<bool>();
  const std::string* text = a[1].value.get<std::string>();
  if (!c || !text)
    return ev.report(Diag::bad_argument, span,
                     "`assert` takes a condition and a message, both known while compiling");
  if (!*c) return ev.report(Diag::failed_assertion, span, *text);
  return None{};
}

Val integer(Evaluator& ev, Frame&, const Args& a, Span) {
  if (a[0].value.get<Dim>()) return a[0].value;
  if (const double* d = a[0].value.get<double>(); d && std::abs(*d) < 0x1p62)
    return Dim(static_cast<std::int64_t>(*d));
  return ev.report(
      Diag::bad_argument, a[0].span,
      fmt::format("`int` makes a static integer of a number, this is {}", describe(a[0].value)),
      a[0].value.get<TensorRef>() ? "`i32(x)` converts a tensor" : "");
}

/// A layer with the same configuration and parameters of its own.
Val fresh(Evaluator& ev, Frame&, const Args& a, Span) {
  const Function* fn = a[0].value.function();
  if (!fn)
    return a[0].value.get<const Builtin*>()
               ? a[0].value
               : ev.report(Diag::bad_argument, a[0].span,
                           fmt::format("`fresh` takes a layer, this is {}", describe(a[0].value)));
  auto made = std::make_shared<Function>(*fn);
  made->path.clear();
  made->path_program = -1;
  return made;
}

std::optional<std::string> path_of(Evaluator& ev, Frame& f, const Bound& b, Span span,
                                   const char* reader) {
  if (f.place != Place::Data) {
    ev.report(Diag::misplaced_statement, span,
              fmt::format("`{}` reads a file; it belongs into a data block", reader));
    return std::nullopt;
  }
  if (const auto* s = b.value.get<std::string>()) return *s;
  ev.report(Diag::bad_argument, b.span,
            fmt::format("the path of a file is a string, this is {}", describe(b.value)));
  return std::nullopt;
}

Val idx(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "idx");
  return path ? ev.data_file("idx", {*path}, {}, a[0].span, *f.program) : Val(Poison{});
}

Val npy(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "npy");
  return path ? ev.data_file("npy", {*path}, {}, a[0].span, *f.program) : Val(Poison{});
}

/// `csv("a.csv")`, or of several files `csv(["a.csv", "b.csv"])`.
Val table(const char* reader, Evaluator& ev, const Args& a) {
  const List* several = a[0].value.list();
  std::vector<std::string> paths;
  for (const Val& item : several ? several->items : std::vector<Val>{a[0].value}) {
    const auto* path = item.get<std::string>();
    if (!path)
      return ev.report(Diag::bad_argument, a[0].span,
                       fmt::format("the path of a file is a string, this is {}", describe(item)));
    paths.push_back(*path);
  }
  if (paths.empty()) return ev.report(Diag::bad_argument, a[0].span, "a table has a file at least");
  return std::make_shared<const Table>(Table{reader, std::move(paths), {}, a[0].span});
}

Val csv(Evaluator& ev, Frame&, const Args& a, Span) { return table("csv", ev, a); }
Val tsv(Evaluator& ev, Frame&, const Args& a, Span) { return table("tsv", ev, a); }

const Table* table_of(Evaluator& ev, const Bound& b, const char* function) {
  if (const auto* t = b.value.get<std::shared_ptr<const Table>>()) return t->get();
  ev.report(Diag::bad_argument, b.span,
            fmt::format("`{}` takes a table, this is {}", function, describe(b.value)),
            fmt::format("`{}(csv(\"table.csv\"))`", function));
  return nullptr;
}

Val width(Evaluator& ev, Frame&, const Args& a, Span span) {
  const Table* t = table_of(ev, a[0], "width");
  if (!t) return Poison{};
  const auto type = ev.probe(ev.source_of(t->reader, t->paths, t->options, span), span);
  return type ? Val(type->shape[1]) : Val(Poison{});
}

/// Columns of one kind of a table, without those to skip.
Val columns_of(const char* reader, Evaluator& ev, const Args& a, Span span) {
  const Table* t = table_of(ev, a[0], reader);
  if (!t) return Poison{};
  if (!t->options.empty())
    return ev.report(Diag::bad_argument, a[0].span, "these are columns of one kind already");
  std::vector<std::string> options{t->reader};
  const List* skip = a[1].value.list();
  for (const Val& item : skip ? skip->items : std::vector<Val>{a[1].value}) {
    if (item.get<None>()) continue;
    const auto* name = item.get<std::string>();
    if (!name)
      return ev.report(Diag::bad_argument, a[1].span, "`skip` holds names of columns",
                       "for instance `skip: [\"id\"]`");
    options.push_back(*name);
  }
  return std::make_shared<const Table>(Table{reader, t->paths, std::move(options), span});
}

Val numeric(Evaluator& ev, Frame&, const Args& a, Span span) {
  return columns_of("numeric", ev, a, span);
}
Val categorical(Evaluator& ev, Frame&, const Args& a, Span span) {
  return columns_of("categorical", ev, a, span);
}

/// Channels, height and width; nullopt after a report.
std::optional<std::vector<std::string>> picture_options(Evaluator& ev, const Bound& size,
                                                        const Bound& channels) {
  const auto integer = [](const Val& v) -> std::int64_t {
    const Dim* d = v.get<Dim>();
    return d && d->is_constant() ? d->value() : 0;
  };
  const std::int64_t count = integer(channels.value);
  if (count != 1 && count != 3) {
    ev.report(Diag::bad_argument, channels.span,
              "pictures have 1 channel (gray) or 3 (red, green, blue)");
    return std::nullopt;
  }
  std::vector<std::int64_t> extent{0, 0};
  if (!is_none(size)) {
    const List* l = size.value.list();
    if (l && l->items.size() == 2)
      extent = {integer(l->items[0]), integer(l->items[1])};
    else
      extent = {integer(size.value), integer(size.value)};
    constexpr std::int64_t kMost = 1 << 16;
    if (std::min(extent[0], extent[1]) < 1 || std::max(extent[0], extent[1]) > kMost) {
      ev.report(Diag::bad_argument, size.span,
                "the size of pictures is an integer, or a list of their height and width");
      return std::nullopt;
    }
  }
  return std::vector<std::string>{std::to_string(count), std::to_string(extent[0]),
                                  std::to_string(extent[1])};
}

Val pictures(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "pictures");
  const auto options = path ? picture_options(ev, a[1], a[2]) : std::nullopt;
  return options ? ev.data_file("pictures", {*path}, *options, a[0].span, *f.program)
                 : Val(Poison{});
}

Val classes(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "classes");
  return path ? ev.data_file("classes", {*path}, {}, a[0].span, *f.program) : Val(Poison{});
}

/// Options of the readers of texts, as they take them (runtime/data/text.h).
Val text(const char* reader, Evaluator& ev, const Args& a, Span span) {
  const auto* path = a[0].value.get<std::string>();
  if (!path)
    return ev.report(
        Diag::bad_argument, a[0].span,
        fmt::format("the path of a text is a string, this is {}", describe(a[0].value)));
  FileSource file;
  file.input = file.path = *path;
  file.reader = reader;
  file.loc = ev.loc(span);
  static constexpr const char* kNames[] = {"", "first", "lower", "newline", "size", "min_count"};
  for (std::size_t k = 1; k < a.size(); ++k) {
    const Val& v = a[k].value;
    const Dim* d = v.get<Dim>();
    if (is_none(a[k]))
      file.options.emplace_back(k == 3 ? " " : "");
    else if (const bool* b = v.get<bool>(); b && k == 2)
      file.options.emplace_back(*b ? "true" : "");
    else if (const auto* s = v.get<std::string>(); s && k == 3)
      file.options.push_back(*s);
    else if (d && d->is_constant() && d->value() > 0 && k != 2 && k != 3)
      file.options.push_back(std::to_string(d->value()));
    else
      return ev.report(Diag::bad_argument, a[k].span,
                       fmt::format("`{}` is {}, this is {}", kNames[k],
                                   k == 2   ? "true or false"
                                   : k == 3 ? "a string"
                                            : "an integer from 1",
                                   describe(v)));
  }
  return std::make_shared<const FileSource>(std::move(file));
}

Val chars(Evaluator& ev, Frame&, const Args& a, Span span) { return text("chars", ev, a, span); }
Val words(Evaluator& ev, Frame&, const Args& a, Span span) { return text("words", ev, a, span); }

/// What a sentence is cut into, words where nothing is said; nullopt for anything else.
std::optional<std::string> unit_of(const Bound& b) {
  if (is_none(b)) return "words";
  const auto* unit = b.value.get<std::string>();
  return unit && (*unit == "words" || *unit == "chars") ? std::optional(*unit) : std::nullopt;
}

/// One side of pairs of sentences.
Val pairs(Evaluator& ev, Frame&, const Args& a, Span span) {
  const auto* path = a[0].value.get<std::string>();
  const Dim* side = a[1].value.get<Dim>();
  const auto unit = unit_of(a[2]);
  const bool* lower = a[3].value.get<bool>();
  const bool good = path && side && side->is_constant() && side->value() >= 0 &&
                    side->value() <= 1 && unit && lower;
  if (!good)
    return ev.report(
        Diag::bad_argument, span,
        "`pairs` takes a path, the side (0 or 1), the unit (\"words\" or \"chars\") and "
        "`lower`",
        "for instance `pairs(\"phrases.tsv\", 0)`");
  FileSource file;
  file.input = file.path = *path;
  file.reader = "pairs";
  file.options = {std::to_string(side->value()), *unit, *lower ? "true" : "", "", ""};
  file.loc = ev.loc(span);
  return std::make_shared<const FileSource>(std::move(file));
}

/// Folders of texts. Their vocabulary is their own, or that of others (`like`).
Val documents(Evaluator& ev, Frame&, const Args& a, Span span) {
  const auto* path = a[0].value.get<std::string>();
  const auto unit = unit_of(a[1]);
  const bool* lower = a[2].value.get<bool>();
  const Dim *size = a[3].value.get<Dim>(), *min_count = a[4].value.get<Dim>();
  const auto* like = a[5].value.get<std::shared_ptr<const FileSource>>();
  const auto positive = [](const Dim* d) { return d && d->is_constant() && d->value() > 0; };
  const bool good = path && unit && lower && (is_none(a[3]) || positive(size)) &&
                    positive(min_count) &&
                    (is_none(a[5]) || (like && (*like)->reader == "documents"));
  if (!good)
    return ev.report(
        Diag::bad_argument, span,
        "`documents` takes a folder, the unit (\"words\" or \"chars\"), `lower`, the "
        "`size` and `min_count` of the vocabulary, or other documents that it is `like`",
        "for instance `documents(\"reviews/test\", like: documents(\"reviews/train\"))`");
  FileSource file;
  if (like) {
    file = **like;
    if (file.further.empty()) file.further = {file.path};
  } else {
    file.reader = "documents";
    file.options = {*unit, *lower ? "true" : "", size ? size->str() : "", min_count->str(), "", ""};
  }
  file.input = file.path = *path;
  file.loc = ev.loc(span);
  return std::make_shared<const FileSource>(std::move(file));
}

const FileSource* text_of(Evaluator& ev, const Bound& b, const char* function) {
  if (const auto* t = b.value.get<std::shared_ptr<const FileSource>>()) return t->get();
  ev.report(Diag::bad_argument, b.span,
            fmt::format("`{}` takes a text, this is {}", function, describe(b.value)),
            "a text is `chars(\"file.txt\")` or `words(\"file.txt\")`, or `documents(\"folder\")`");
  return nullptr;
}

Val vocabulary(Evaluator& ev, Frame&, const Args& a, Span span) {
  const FileSource* t = text_of(ev, a[0], "vocabulary");
  if (!t) return Poison{};
  if (!ev.options().count_tokens)
    return ev.report(Diag::data_file, span, "files cannot be read here");
  try {
    return Dim(ev.options().count_tokens(*t));
  } catch (const UserError& e) {
    return ev.report(Diag::data_file, span, e.what());
  }
}

/// All tokens of a text, i32[n]; poison after a report.
Val read_tokens(Evaluator& ev, Frame& f, const Bound& b, Span span, const char* function) {
  const FileSource* t = text_of(ev, b, function);
  if (!t) return Poison{};
  if (f.place != Place::Data)
    return ev.report(Diag::misplaced_statement, span,
                     fmt::format("`{}` reads a file; it belongs into a data block", function));
  return ev.data_file(t->reader, {t->path}, t->options, b.span, *f.program);
}

Val read_side(Evaluator& ev, Frame& f, const Args& a, Span span, const char* what) {
  const FileSource* t = text_of(ev, a[0], what);
  if (!t) return Poison{};
  if (t->reader != "pairs" && t->reader != "documents")
    return ev.report(
        Diag::bad_argument, a[0].span,
        fmt::format("`{}` takes documents, or a side of pairs: `pairs(\"phrases.tsv\", 0)`", what));
  FileSource side = *t;
  // The last two options of both: steps, and what is read.
  const std::size_t last = side.options.size() - 1;
  if (!is_none(a[1])) {
    const Dim* steps = a[1].value.get<Dim>();
    if (!steps || !steps->is_constant() || steps->value() < 1)
      return ev.report(Diag::bad_argument, a[1].span, "`steps` is an integer from 1");
    side.options[last - 1] = std::to_string(steps->value());
  }
  side.options[last] = what;
  if (f.place != Place::Data)
    return ev.report(Diag::misplaced_statement, span,
                     fmt::format("`{}` reads a file; it belongs into a data block", what));
  std::vector<std::string> paths{side.path};
  paths.insert(paths.end(), side.further.begin(), side.further.end());
  return ev.data_file(side.reader, paths, side.options, a[0].span, *f.program);
}

Val sentences(Evaluator& ev, Frame& f, const Args& a, Span span) {
  return read_side(ev, f, a, span, "sentences");
}
Val lengths(Evaluator& ev, Frame& f, const Args& a, Span span) {
  return read_side(ev, f, a, span, "lengths");
}

Val tokens(Evaluator& ev, Frame& f, const Args& a, Span span) {
  return read_tokens(ev, f, a[0], span, "tokens");
}

/// Rows one after the other: of n tokens (n - 1) / steps rows, so that those moved by one are as
/// many.
Val sequences(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const Val all = read_tokens(ev, f, a[0], span, "sequences");
  const TensorRef* t = all.get<TensorRef>();
  if (!t) return Poison{};
  const Dim *steps = a[1].value.get<Dim>(), *shift = a[2].value.get<Dim>();
  if (!steps || !steps->is_constant() || steps->value() < 1)
    return ev.report(Diag::bad_argument, a[1].span, "`steps` is an integer from 1");
  if (!shift || !shift->is_constant() || (shift->value() != 0 && shift->value() != 1))
    return ev.report(Diag::bad_argument, a[2].span,
                     "`shift` is 0, or 1 for the tokens that come next");
  Program& p = *f.program;
  const std::int64_t n = p.type(t->value).shape[0].value();
  const std::int64_t rows = (n - 1) / steps->value();
  if (rows < 1)
    return ev.report(Diag::bad_argument, a[1].span,
                     fmt::format("the text has {} tokens, too few for a row of {} and the next one",
                                 n, steps->value()));
  const std::vector<std::int64_t> begin{shift->value()}, step{1};
  const Val cut =
      ev.emit(p, Op::slice, {t->value},
              {{"begin", begin}, {"step", step}, {"shape", Shape{rows * steps->value()}}}, span);
  const Val made = cut.poisoned() ? cut
                                  : ev.emit(p, Op::reshape, {cut.get<TensorRef>()->value},
                                            {{"shape", Shape{rows, *steps}}}, span);
  if (const TensorRef* result = made.get<TensorRef>())
    (*ev.sequences)[result->value] = {p.graph[t->value].name, steps->value(), shift->value()};
  return made;
}

Val split(Evaluator& ev, Frame& f, const Args& a, Span span) {
  if (f.place != Place::Data)
    return ev.report(Diag::misplaced_statement, span, "`split` belongs into a data block");
  const auto part = number(a[0].value);
  if (!part || *part <= 0 || *part >= 1)
    return ev.report(Diag::bad_argument, a[0].span, "the test part is a number between 0 and 1",
                     "for instance split(test: 0.2)");
  if (ev.split_test && *ev.split_test != *part)
    return ev.report(Diag::duplicate_definition, span, "the data are split already");
  ev.split_test = *part;
  return None{};
}

}  // namespace

std::vector<Builtin> data_builtins() {
  return {
      {"assert",
       {"condition", "message"},
       "an error with the message unless the static condition holds",
       assert_that},
      {"categorical",
       {"table", "skip=none"},
       "f32[n, k] of a table's columns of texts, each as 0 and 1 for every text that it holds, "
       "and for what is missing",
       categorical},
      {"chars",
       {"path", "first=none", "lower=false", "newline=none", "size=none", "min_count=1"},
       "a text whose tokens are its characters; a newline is read as a blank, or as `newline`",
       chars},
      {"classes",
       {"path"},
       "of the pictures or texts in a folder of folders: which folder each is in, by name",
       classes},
      {"csv",
       {"path"},
       "a table of comma-separated values, or of a list of files one after the other; columns are "
       "chosen by "
       "table[\"name\"]",
       csv},
      {"documents",
       {"folder", "unit=none", "lower=false", "size=none", "min_count=1", "like=none"},
       "the .txt files in a folder, or in a folder for each class, with their vocabulary or that "
       "of others",
       documents},
      {"fresh", {"layer"}, "the same layer with parameters of its own", fresh},
      {"idx", {"path"}, "the array of an IDX file, plain or gz", idx},
      {"int", {"x"}, "a static number as an integer, truncated", integer},
      {"lengths",
       {"side", "steps=none"},
       "in a data block: how many tokens each sentence has, its end included, or each document",
       lengths},
      {"npy", {"path"}, "the array of a NumPy file", npy},
      {"numeric",
       {"table", "skip=none"},
       "f32[n, k] of a table's columns of numbers, NaN where one is missing",
       numeric},
      {"pairs",
       {"path", "side", "unit=none", "lower=false"},
       "one side (0 or 1) of a file of pairs of sentences, a line each with a tab between them",
       pairs},
      {"pictures",
       {"path", "size=none", "channels=3"},
       "u8[n, channels, height, width] of a folder of PNG and JPEG files, or of folders of them",
       pictures},
      {"sentences",
       {"side", "steps=none"},
       "in a data block: i32[n, steps] of one side of pairs: its tokens, 2 for the end, 0 after "
       "it; 1 is for the beginning, 3 for the unknown; of documents likewise, without an end",
       sentences},
      {"sequences",
       {"text", "steps", "shift=0"},
       "in a data block: the tokens of a text in rows of so many, or those that come next (shift: "
       "1)",
       sequences},
      {"split", {"test"}, "in a data block: the last part of the rows is for testing", split},
      {"tokens", {"text"}, "in a data block: all tokens of a text as numbers, i32[n]", tokens},
      {"tsv", {"path"}, "a table of tab-separated values, as `csv` takes them", tsv},
      {"vocabulary", {"text"}, "how many different tokens a text has", vocabulary},
      {"width",
       {"table"},
       "how many columns a table has, or its `numeric` or `categorical` part",
       width},
      {"words",
       {"path", "first=none", "lower=false", "newline=none", "size=none", "min_count=1"},
       "a text whose tokens are its words and signs; at most `size` different ones are told apart",
       words},
  };
}

}  // namespace dlc::sema
