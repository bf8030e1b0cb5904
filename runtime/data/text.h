#pragma once
// Text as numbers of tokens, with the vocabulary that the numbers stand for.
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/data/formats.h"

namespace dlc {

/// The tokens of a vocabulary by number: the most frequent first, equal ones in the order of their
/// bytes. Where a limit leaves tokens out, number 0 is `kUnknown`, which stands for them.
struct Vocabulary {
  std::vector<std::string> tokens;
  bool operator==(const Vocabulary&) const = default;
};
inline constexpr std::string_view kUnknown = "<unk>";

struct Text {
  std::vector<std::int32_t> numbers;
  Vocabulary vocabulary;
};

/// Readers "chars", whose tokens are code points, and "words", whose tokens are runs of letters and
/// digits, single signs, and single Chinese or Japanese characters. Options, all given, "" for
/// none:
///   first      so many code points are read
///   lower      "true": capitals are read as small letters
///   newline    what a newline is read as
///   size       so many tokens at most, the unknown one included
///   min_count  rarer tokens are unknown
/// UserError: the file cannot be read, or is not UTF-8 (at which byte).
Text read_text(const std::string& reader, const std::string& path,
               const std::vector<std::string>& options);

/// The numbers of the tokens of `text`; what is not in the vocabulary is unknown, or without such a
/// token a UserError that names it.
std::vector<std::int32_t> encode(const std::string& reader, const std::string& text,
                                 const std::vector<std::string>& options,
                                 const Vocabulary& vocabulary);
/// The text of tokens: characters as they are, words with blanks between them.
std::string decode(const std::string& reader, const std::vector<std::int32_t>& numbers,
                   const Vocabulary& vocabulary);

/// The pieces of `encode`: the tokens of a text, whose place messages name, and their numbers.
std::vector<std::string> split_text(const std::string& reader, const std::string& text,
                                    const std::vector<std::string>& options,
                                    const std::string& where);
std::vector<std::int32_t> number_tokens(const std::vector<std::string>& tokens,
                                        const Vocabulary& vocabulary, const std::string& where);
/// The number of each token of a vocabulary.
class TokenNumbers {
 public:
  explicit TokenNumbers(Vocabulary vocabulary);
  TokenNumbers(const TokenNumbers&) = delete;
  TokenNumbers& operator=(const TokenNumbers&) = delete;
  /// Of a token that is not in it, of the unknown one; a UserError where there is none.
  std::int32_t of(const std::string& token, const std::string& where) const;

 private:
  Vocabulary vocabulary_;
  std::unordered_map<std::string_view, std::int32_t> number_;  // into the vocabulary
};

/// One side of a file of pairs, a line each with a tab between the two; empty lines and those that
/// begin with # are left out. Options: side (0 or 1), unit (words or chars), lower ("true"), steps
/// (of a row; "": the longest and its end), what ("tokens": i32[rows, steps], each sentence, kEnd,
/// kPad; "lengths": i32[rows], the end included). UserError: a line without a tab.
inline constexpr std::string_view kPad = "<pad>", kBegin = "<bos>", kEnd = "<eos>";
FileContent read_pairs(const std::string& path, const std::vector<std::string>& options,
                       bool only_header);
/// kPad, kBegin, kEnd, kUnknown, then the tokens of that side in the order of their bytes.
Vocabulary empty_sentence_vocabulary();  // those four
Vocabulary read_pair_vocabulary(const std::string& path, const std::vector<std::string>& options);
/// A sentence as rows of that side have it: the numbers of its tokens and of kEnd, without padding.
std::vector<std::int32_t> encode_sentence(const std::string& text,
                                          const std::vector<std::string>& options,
                                          const Vocabulary& vocabulary);
/// The text of the tokens before the first kEnd.
std::string decode_sentence(std::vector<std::int32_t> numbers,
                            const std::vector<std::string>& options, const Vocabulary& vocabulary);

/// A folder with a folder of .txt files for each class, or without classes. Options: unit (words or
/// chars), lower ("true"), size (of the vocabulary, the four included; "": all), min_count, steps
/// (of a row; "": as many as the longest has), what ("tokens": i32[rows, steps], cut or with kPad
/// behind; "lengths": i32[rows]). `like`: the folder whose vocabulary it is; "": its own.
FileContent read_documents(const std::string& path, const std::vector<std::string>& options,
                           const std::string& like, bool only_header);
/// kPad, kBegin, kEnd, kUnknown, then the most frequent tokens.
Vocabulary read_document_vocabulary(const std::string& path,
                                    const std::vector<std::string>& options);

/// Of a text, one side of pairs, or documents.
Vocabulary read_vocabulary(const std::string& reader, const std::string& path,
                           const std::vector<std::string>& options);

FileContent read_token_numbers(const std::string& reader, const std::string& path,
                               const std::vector<std::string>& options, bool only_header);

}  // namespace dlc
