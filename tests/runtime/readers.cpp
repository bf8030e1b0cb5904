#include "runtime/data/readers.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/runtime/bytes.h"
#include "tests/support/temp_dir.h"

using namespace dlc;

namespace {

using Shape = std::vector<std::int64_t>;

std::vector<double> values(const Tensor& t) {
  std::vector<double> result;
  for (std::int64_t k = 0; k < t.size(); ++k) result.push_back(t.at(k));
  return result;
}

/// Reads the bytes as a file, and checks that the probe says the same of it.
Tensor read(const std::string& reader, const std::string& bytes,
            const std::vector<std::string>& columns = {}) {
  const TempDir dir;
  const std::string path = dir.write("file", bytes);
  Tensor t = read_file(reader, path, columns);
  const FileHeader h = probe_file(reader, path, columns);
  CHECK(h.dtype == t.dtype());
  CHECK(h.shape == t.shape());
  return t;
}

struct Malformed {
  const char* reader;
  std::string bytes;
  std::vector<std::string> columns;
  std::vector<std::string> message;  // parts of it
};

const std::string kTwo(2, '\0');

std::vector<Malformed> malformed_idx() {
  return {
      {"idx", "", {}, {"byte 0", "ends inside the header"}},
      {"idx", "PK\x03\x04", {}, {"byte 0", "not an idx file"}},
      {"idx", idx(0x0A, {1}, "x"), {}, {"byte 2", "0x0a"}},
      {"idx", idx(8, {2, 3}, "12345"), {}, {"byte 12", "[2, 3]", "5 bytes left"}},
      {"idx", idx(8, {2, 3}, "1234567"), {}, {"byte 18", "goes on"}},
      {"idx", idx(8, {2, 3}, "").substr(0, 9), {}, {"byte 9", "extent of axis 1"}},
      {"idx", idx(8, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "x"), {}, {"byte 16", "4294967295"}},
      {"idx", idx(8, {0, 0xFFFFFFFF, 0xFFFFFFFF}, ""), {}, {"byte 16", "4294967295"}},
      {"idx", gzip(idx(8, {4000000000U}, "x")), {}, {"4000000000", "at most"}},
      {"idx", gzip(idx(8, {2000}, "x")), {}, {"byte 9", "ends inside the elements"}},
      {"idx", gzip(idx(8, {3}, "abc")).substr(0, 20), {}, {"cut off"}},
      {"idx", gzip(idx(8, {3}, "abcd")), {}, {"byte 11", "goes on"}},
  };
}

std::vector<Malformed> malformed_npy() {
  const auto header = [](const std::string& text) {
    return Malformed{"npy", npy(text, std::string(8, '\0')), {}, {"wrong npy header"}};
  };
  std::vector<Malformed> all = {
      {"npy", "", {}, {"byte 0", "ends inside the header"}},
      {"npy", "PK\x03\x04 an npz file", {}, {"byte 0", "not an npy file"}},
      {"npy", std::string("\x93NUMPY\x09\x00", 8), {}, {"byte 6", "version 9.0"}},
      {"npy", std::string("\x93NUMPY\x01\x00\xFF\xFF", 10), {}, {"byte 8", "65535"}},
      {"npy", std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF", 12), {}, {"byte 8", "4294967295"}},
      {"npy", npy_of("<f4", "(3,)", std::string(11, 'x')), {}, {"[3]", "11 bytes left"}},
      {"npy", npy_of("<f4", "(3,)", std::string(13, 'x')), {}, {"goes on"}},
      {"npy", npy_of("<f4", "(1000000000000, 4)", kTwo), {}, {"1000000000000"}},
      {"npy", npy_of("<f4", "(99999999999999999999,)", kTwo), {}, {"extent is too large"}},
      {"npy", npy_of("<f4", "(922337203685477580, 922337203685477580)", kTwo), {}, {"9223372"}},
      {"npy", npy_of(">f4", "(1,)", std::string(4, 'x')), {}, {"big-endian", "astype('<f4')"}},
      {"npy", npy_of("|O", "(1,)", std::string(8, 'x')), {}, {"'|O'", "not supported"}},
      {"npy", npy_of("<c8", "(1,)", std::string(8, 'x')), {}, {"'<c8'", "not supported"}},
      {"npy", npy_of("<U5", "(1,)", std::string(20, 'x')), {}, {"'<U5'", "not supported"}},
      {"npy", npy_of("", "(1,)", kTwo), {}, {"not supported"}},
      {"npy", npy_of("<f4", "(-1,)", kTwo), {}, {"an extent is expected"}},
  };
  std::string axes = "(";
  for (int k = 0; k < 70; ++k) axes += "1, ";
  all.push_back({"npy", npy_of("|u1", axes + ")", "x"), {}, {"more than 64 axes"}});
  for (const char* text :
       {"", "{", "{}", "[]", "{'descr': '<f4', 'fortran_order': False}", "{'descr': '<f4'",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} more",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 'x'}"})
    all.push_back(header(text));
  return all;
}

std::vector<Malformed> malformed_tables() {
  return {
      {"numeric", "a,b\nx,y\n", {"csv"}, {"no column holds numbers"}},
      {"numeric", "a,b\n1,y\n", {"csv", "c"}, {"there is no column `c` to skip", "a, b"}},
      {"numeric", "a,b\n1,2\n3\n", {"csv"}, {"row 2 (line 3)", "1 fields, the first row"}},
      {"numeric", "a,b\n1,2\n3,1e99\n", {"csv"}, {"row 2 (line 3)", "column `b`", "`1e99`"}},
      {"numeric", "a\n", {"csv"}, {"no rows"}},
      {"numeric", "1,2\n3,4\n", {"csv", "a"}, {"no column `a` to skip"}},
      {"categorical", "a,b\n1,2\n", {"csv"}, {"no column holds texts"}},
      {"categorical", "a,b\nx,1\n", {"csv", "a"}, {"no column holds texts"}},
  };
}

std::vector<Malformed> malformed_csv() {
  return {
      {"csv", "", {}, {"empty"}},
      {"csv", "\n\n", {}, {"empty"}},
      {"csv", "a,b\n", {}, {"header, but no rows"}},
      {"csv", "a,b\n1,2\n3\n", {}, {"row 2 (line 3)", "1 fields", "has 2"}},
      {"csv", "a,b\n1,2\n3,4,5\n", {}, {"row 2 (line 3)", "3 fields"}},
      {"csv", "a,b\n1,2\n3,\n", {}, {"row 2 (line 3)", "column `b`", "missing"}},
      {"csv", "a,b\n1,2\n3,  \n", {}, {"column `b`", "missing"}},
      {"csv", "a,b\n1,NA\n", {}, {"row 1 (line 2)", "column `b`", "`NA` is not a number"}},
      {"csv", "1,2\n1,2x\n", {}, {"row 2 (line 2)", "column `2`", "`2x` is not a number"}},
      {"csv", "a\n0x10\n", {}, {"`0x10` is not a number"}},
      {"csv", "a\n1e99\n", {}, {"`1e99` is not a finite number"}},
      {"csv", "a\n1e999\n", {}, {"`1e999` is not a finite number"}},
      {"csv", "a\nnan\n", {}, {"`nan` is not a finite number"}},
      {"csv", "a\n-inf\n", {}, {"`-inf` is not a finite number"}},
      {"csv", "a\n+-1\n", {}, {"`+-1` is not a number"}},
      {"csv", "a\n" + std::string(100000, 'z') + "\n", {}, {"zzz...` is not a number"}},
      {"csv", "a,b\n\"1,2\n", {}, {"quote opened in line 2 is not closed"}},
      {"csv", "a\n\"1\"2\n", {}, {"line 2", "follows a closing quote"}},
      {"csv", "a\n1\n\n2\n", {}, {"line 3 is empty"}},
      {"csv", "a\n1\r2\n", {}, {"not a number"}},
      {"csv", "a,b\n1,2\n", {"c"}, {"no column `c`", "a, b"}},
      {"csv", "a,a\n1,2\n", {"a"}, {"columns 1 and 2 are both called `a`"}},
      {"csv", "1,2\n", {"a"}, {"no header", "column `a`"}},
      {"tsv", "a\tb\n1,5\t2\n", {}, {"`1,5` is not a number"}},
      {"xls",
       "a",
       {},
       {"no reader `xls`",
        "idx, npy, csv, tsv, numeric, categorical, pictures, classes, chars, words, pairs and "
        "documents"}},
  };
}

}  // namespace

TEST_CASE("idx of every element type, plain and compressed") {
  Tensor t = read("idx", idx(8, {2, 3}, "\x01\x02\x03\xFF\x05\x06"));
  CHECK(t.type_str() == "u8[2, 3]");
  CHECK(values(t) == std::vector<double>{1, 2, 3, 255, 5, 6});
  t = read("idx", gzip(idx(8, {2}, "ab")));
  CHECK(values(t) == std::vector<double>{'a', 'b'});
  t = read("idx", idx(9, {2}, "\xFF\x7F"));
  CHECK(t.type_str() == "i32[2]");
  CHECK(values(t) == std::vector<double>{-1, 127});
  CHECK(values(read("idx", idx(0x0B, {2}, big<std::int16_t>({-300, 5})))) ==
        std::vector<double>{-300, 5});
  CHECK(values(read("idx", idx(0x0C, {2}, big<std::int32_t>({-70000, 5})))) ==
        std::vector<double>{-70000, 5});
  t = read("idx", idx(0x0D, {2}, big<float>({-1.5f, 1e30f})));
  CHECK(t.dtype() == DLC_F32);
  CHECK(values(t) == std::vector<double>{-1.5, 1e30f});
  t = read("idx", gzip(idx(0x0E, {1, 2}, big<double>({0.1, -2}))));
  CHECK(t.type_str() == "f64[1, 2]");
  CHECK(values(t) == std::vector<double>{0.1, -2});
  CHECK(read("idx", idx(8, {0, 28}, "")).type_str() == "u8[0, 28]");
  // More than one part of the conversion.
  std::vector<std::int16_t> many(70000);
  for (int k = 0; k < 70000; ++k) many[static_cast<std::size_t>(k)] = static_cast<std::int16_t>(k);
  t = read("idx", idx(0x0B, {70000}, big(many)));
  CHECK(t.at(69999) == static_cast<std::int16_t>(69999));
}

TEST_CASE("npy of every element type, version and order") {
  const auto one = [](const char* descr, const std::string& bytes) {
    const Tensor t = read("npy", npy_of(descr, "(2,)", bytes));
    return t.type_str() + " " + fmt::format("{}", fmt::join(values(t), " "));
  };
  CHECK(one("<f4", little<float>({1.5f, -2})) == "f32[2] 1.5 -2");
  CHECK(one("<f8", little<double>({0.1, -2})) == "f64[2] 0.1 -2");
  CHECK(one("=i4", little<std::int32_t>({7, -2})) == "i32[2] 7 -2");
  CHECK(one("<i8", little<std::int64_t>({7, -2})) == "i64[2] 7 -2");
  CHECK(one("|u1", "\x07\xFF") == "u8[2] 7 255");
  CHECK(one("|b1", std::string("\x02\x00", 2)) == "bool[2] 1 0");
  CHECK(one("|i1", "\x07\xFF") == "i32[2] 7 -1");
  CHECK(one("<i2", little<std::int16_t>({7, -2})) == "i32[2] 7 -2");
  CHECK(one("<u2", little<std::uint16_t>({7, 65535})) == "i32[2] 7 65535");
  CHECK(one("<u4", little<std::uint32_t>({7, 4294967295U})) == "i64[2] 7 4294967295");
  CHECK(one("<f2", little<std::uint16_t>({0x3C00, 0xC100})) == "f16[2] 1 -2.5");
  CHECK(one("<f2", little<std::uint16_t>({0x0001, 0x7C00})) == "f16[2] 5.960464477539063e-08 inf");

  const char* header = "{\"shape\": (2, 3), 'fortran_order': False, 'descr': '<i4'}";
  const std::string six = little<std::int32_t>({1, 2, 3, 4, 5, 6});
  for (const int version : {1, 2, 3})
    CHECK(values(read("npy", npy(header, six, version))) == std::vector<double>{1, 2, 3, 4, 5, 6});
  Tensor t = read("npy", npy_of("<i4", "(2L, 3L)", six, true));
  CHECK(t.shape() == Shape{2, 3});
  CHECK(values(t) == std::vector<double>{1, 3, 5, 2, 4, 6});
  t = read("npy", npy_of("<i4", "(1, 2, 3)", six, true));
  CHECK(values(t) == std::vector<double>{1, 3, 5, 2, 4, 6});
  t = read("npy", npy_of("<i4", "()", little<std::int32_t>({42})));
  CHECK(t.shape().empty());
  CHECK(t.at(0) == 42);
  CHECK(read("npy", npy_of("<f4", "(0, 5)", "")).type_str() == "f32[0, 5]");
}

TEST_CASE("bf16, which NumPy lacks, is written as f32") {
  const TempDir dir;
  Tensor t(DLC_BF16, {3});
  for (const int k : {0, 1, 2}) t.set(k, 0.1 * k);
  CHECK(t.at(1) == 0.10009765625);
  write_npy(dir.path("a.npy"), t);
  const Tensor back = read_file("npy", dir.path("a.npy"), {});
  CHECK(back.type_str() == "f32[3]");
  CHECK(values(back) == values(t));
}

TEST_CASE("an npy file that was written reads back") {
  const TempDir dir;
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}})
    for (const dlc_dtype type : {DLC_F32, DLC_F64, DLC_F16, DLC_I32, DLC_I64, DLC_U8, DLC_BOOL}) {
      Tensor t(type, shape);
      for (std::int64_t k = 0; k < t.size(); ++k) t.set(k, static_cast<double>(k % 2));
      write_npy(dir.path("a.npy"), t);
      const Tensor back = read_file("npy", dir.path("a.npy"), {});
      CHECK(back.type_str() == t.type_str());
      CHECK(values(back) == values(t));
    }
  CHECK(read_all(dir.path("a.npy")).size() % 64 == 0);  // the elements are aligned
  CHECK(contains(error_of([&] { write_npy(dir.path("no/such/a.npy"), Tensor(DLC_F32, {})); }),
                 "no/such/a.npy"));
}

TEST_CASE("csv") {
  Tensor t = read("csv", "1,2\n3,4.5\n");
  CHECK(t.type_str() == "f32[2, 2]");
  CHECK(values(t) == std::vector<double>{1, 2, 3, 4.5});
  t = read("csv", "a,\"b \"\"c\"\"\",text\r\n1,2,x\r\n\"-3\",4e2,\"y,\r\nz\"\r\n",
           {"b \"c\"", "a"});
  CHECK(t.shape() == Shape{2, 2});
  CHECK(values(t) == std::vector<double>{2, 1, 400, -3});
  CHECK(values(read("csv", "\xEF\xBB\xBFid,v\n1, +2.5 ", {"v"})) == std::vector<double>{2.5});
  CHECK(values(read("tsv", "800\t0\t0.3\n1e3\t-1\t.5\n")) ==
        std::vector<double>{800, 0, 0.3f, 1000, -1, 0.5});
  CHECK(values(read("csv", "a\n1\n2\n\n\n")) == std::vector<double>{1, 2});
  CHECK(values(read("csv", "a\n1e-300\n-0.0\n1e-999\n")) == std::vector<double>{0, 0, 0});
  CHECK(values(read("csv", gzip("a\n7\n"))) == std::vector<double>{7});
  CHECK(values(read("csv", "a\n5")) == std::vector<double>{5});
}

TEST_CASE("tables of numbers and texts, with values missing, in several files") {
  const TempDir dir;
  const std::string a =
      dir.write("a.csv", "id,size,kind,price\n1,10,red,5\n2,NA,blue,6\n3,30,,7\n");
  const std::string b = dir.write("b.csv", "id,kind,size\n4,\"green, dark\",40\n5,red,?\n");
  const auto both = [&](const char* reader, const std::vector<std::string>& options) {
    Tensor t = read_file(reader, a, options, {b});
    CHECK(probe_file(reader, a, options, {b}).shape == t.shape());
    return t;
  };
  // The columns that both have, in the order of the first; the rows of the second come after.
  Tensor t = both("numeric", {"csv", "id"});
  CHECK(t.shape() == Shape{5, 1});
  CHECK(t.at(0) == 10);
  CHECK(std::isnan(t.at(1)));
  CHECK(t.at(3) == 40);
  CHECK(std::isnan(t.at(4)));
  t = both("categorical", {"csv"});
  CHECK(t.shape() == Shape{5, 4});  // blue; green, dark; red; missing
  CHECK(values(t) ==
        std::vector<double>{0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0});
  CHECK(values(both("csv", {"id"})) == std::vector<double>{1, 2, 3, 4, 5});
  CHECK(contains(error_of([&] { read_file("csv", a, {"price"}, {b}); }),
                 "b.csv: there is no column"));
  std::string many = "name\n";
  for (int k = 0; k < 1200; ++k) many += fmt::format("n{}\n", k);
  const std::string names = dir.write("names.csv", many);
  CHECK(contains(error_of([&] { read_file("categorical", names, {"csv"}); }),
                 "leave it out: skip: [\"name\"]"));
}

TEST_CASE("malformed files end with the path, the place and what is wrong") {
  const TempDir dir;
  for (const auto& table : {malformed_idx(), malformed_npy(), malformed_csv(), malformed_tables()})
    for (const Malformed& m : table) {
      const std::string path = dir.write("bad_file", m.bytes);
      const std::string error = error_of([&] { read_file(m.reader, path, m.columns); });
      CAPTURE(m.bytes.substr(0, 200));
      CHECK(contains(error, "bad_file"));
      for (const std::string& part : m.message) {
        CAPTURE(error);
        CHECK(contains(error, part));
      }
      // The probe accepts it or ends with a UserError, too.
      error_of([&] { probe_file(m.reader, path, m.columns); });
    }
}

TEST_CASE("what is not a plain file is refused") {
  const TempDir dir;
  for (const char* reader : {"idx", "npy", "csv"}) {
    CHECK(contains(error_of([&] { read_file(reader, dir.path("none"), {}); }), "cannot be read"));
    CHECK(contains(error_of([&] { read_file(reader, dir.dir().string(), {}); }), "a directory"));
    CHECK(contains(error_of([&] { read_file(reader, "/dev/null", {}); }), "not a plain file"));
  }
}

TEST_CASE("data files are found beside the model and in the data folders") {
  const TempDir model, data;
  model.write("both.csv", "1\n");
  data.write("both.csv", "2\n");
  data.write("data.csv", "3\n");
  const std::string model_dir = model.dir().string(), data_dir = data.dir().string();
  CHECK(find_data_file("both.csv", model_dir, {data_dir}) == model.path("both.csv"));
  CHECK(find_data_file("data.csv", model_dir, {model_dir, data_dir}) == data.path("data.csv"));
  CHECK(find_data_file(data.path("data.csv"), model_dir, {}) == data.path("data.csv"));
  std::string error = error_of([&] { find_data_file("none.csv", model_dir, {data_dir}); });
  for (const std::string& part : {std::string("none.csv"), model_dir, data_dir,
                                  std::string("fashion-mnist"), std::string("--data")})
    CHECK(contains(error, part));
  error = error_of([&] { find_data_file("/none/t10k-images-idx3-ubyte.gz", model_dir, {}); });
  CHECK(contains(error, "apt-get install dataset-fashion-mnist"));
  CHECK(!contains(error, model_dir));
}
