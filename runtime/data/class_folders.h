#pragma once
// Folders of files with a folder for each class. Folders and files are taken in the order of their
// names (bytes), so that files and classes of the same path have the same rows.
#include <string>
#include <vector>

#include "runtime/data/formats.h"

namespace dlc {

/// Kinds of files by their endings, in small letters.
struct FileKind {
  std::string name;  // "pictures"
  std::vector<std::string> endings;
};
extern const FileKind kPictures, kTexts;

struct ClassFolders {
  struct File {
    std::string path;
    std::size_t folder;  // which of the class folders; 0 without any
  };
  std::vector<File> files;
  std::vector<std::string> classes;  // names of the folders; empty where the files are in none
};

/// The files of a kind in the folders of `path`, or where it has no folders in itself. UserError:
/// it is no folder, or it or a folder in it has no such file.
ClassFolders list_class_folders(const std::string& path, const FileKind& kind);

}  // namespace dlc
