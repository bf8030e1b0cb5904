#pragma once
// Data files to tensors. Every error is a UserError with the path and the byte or row where it is.
#include <string>
#include <vector>

#include "runtime/tensor.h"

namespace dlc {

struct FileHeader {
  dlc_dtype dtype;
  std::vector<std::int64_t> shape;
};

/// Looks a data file up: as given when absolute, else beside the model file, in each of
/// `data_dirs`, and where Debian's data set packages put it (dataset-fashion-mnist). The error
/// names every place that was tried and, for a file that a package has, the package to install.
std::string find_data_file(const std::string& path, const std::string& model_dir,
                           const std::vector<std::string>& data_dirs);

/// `reader` and its `options`:
///   "idx"       plain or gz
///   "npy"
///   "csv"       or "tsv": the columns wanted, in order; empty: all
///   "numeric"   of a table the columns of numbers, NaN where one is missing: "csv" or "tsv", then
///               columns to skip
///   "categorical"  likewise the columns of texts, each as 0 and 1 for every text that it holds, in
///               the order of the texts, and for what is missing
///   "pictures"  a folder of PNG and JPEG files, or of folders of them: channels (1 or 3), and the
///               height and width that each is brought to; 0, 0: all have one size
///   "chars"     or "words": a text as numbers of its tokens, i32[n]; options in text.h
///   "pairs"     one side of pairs of sentences; options in text.h
///   "documents" folders of texts; options in text.h
///   "classes"   of the pictures or texts in a folder of folders: which folder each is in
/// `further`: more files of a table, whose rows come after those of `path`; of documents the folder
/// whose vocabulary they have.
FileHeader probe_file(const std::string& reader, const std::string& path,
                      const std::vector<std::string>& options,
                      const std::vector<std::string>& further = {});
Tensor read_file(const std::string& reader, const std::string& path,
                 const std::vector<std::string>& options,
                 const std::vector<std::string>& further = {});

void write_npy(const std::string& path, const Tensor& t);  // atomically

}  // namespace dlc
