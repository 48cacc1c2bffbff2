// A SentencePiece model (tokenizer.model) of type BPE. Source: github.com/google/sentencepiece,
// sentencepiece_model.proto for the format, bpe_model.cc and normalizer.cc for what it does to a text; transformers'
// LlamaTokenizer for where texts begin.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer_compile/protobuf_reader.h"
#include "tokenizer_compile/tokenizer_source.h"

namespace incipit {
namespace {

enum class PieceType : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
constexpr int64_t type_bpe = 2;
// Bounds the ways to halve a piece; trainers make pieces of 16 characters.
constexpr size_t max_piece_bytes = 512;

struct Piece {
  std::string_view text;
  float score = 0;
  PieceType type = PieceType::normal;
};

struct Trainer {
  int64_t model_type = 1;
  bool space_as_suffix = false;
  int64_t bos_id = 1;
  int64_t eos_id = 2;
};

struct Normalization {
  std::string_view name;
  std::string_view character_map;
  bool dummy_prefix = true;
  bool remove_extra_spaces = true;
  bool escape_spaces = true;
};

class ModelReader {
 public:
  ModelReader(std::string_view bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  TokenizerSource read(const SentencePieceOptions& options) {
    read_message();
    check();
    source_.unit = MergeUnit::characters;
    source_.fuse_unknown = true;
    add_pieces();
    add_merges();
    add_normalizer(options);
    if ((normalization_.dummy_prefix && options.prefix_space) || normalization_.remove_extra_spaces) {
      source_.stripped_count = 1;
      source_.stripped_byte = ' ';
    }
    const auto valid = [&](int64_t id) { return id >= 0 && id < static_cast<int64_t>(pieces_.size()); };
    if (valid(trainer_.bos_id)) source_.bos_id = static_cast<int32_t>(trainer_.bos_id);
    if (valid(trainer_.eos_id)) source_.eos_ids.push_back(static_cast<int32_t>(trainer_.eos_id));
    return std::move(source_);
  }

 private:
  [[noreturn]] void refuse(const std::string& fault, std::string_view remedy = {}) const {
    constexpr std::string_view usual =
        "check it against the publisher's file; a tokenizer that needs it cannot be read yet";
    throw Error(file_, fault, remedy.empty() ? usual : remedy);
  }

  void read_message() {
    ProtobufReader message(bytes_, file_);
    while (message.next()) {
      if (message.field() == 1) {
        read_piece(message.bytes());
      } else if (message.field() == 2) {
        read_trainer(message.bytes());
      } else if (message.field() == 3) {
        read_normalization(message.bytes());
      }
    }
  }

  void read_piece(std::string_view bytes) {
    Piece piece;
    ProtobufReader message(bytes, file_);
    while (message.next()) {
      if (message.field() == 1) piece.text = message.bytes();
      if (message.field() == 2) piece.score = message.number();
      if (message.field() == 3) piece.type = static_cast<PieceType>(message.integer());
    }
    pieces_.push_back(piece);
    if (pieces_.size() > max_vocabulary) refuse(fmt::format("it has more than {} pieces", max_vocabulary));
  }

  void read_trainer(std::string_view bytes) {
    ProtobufReader message(bytes, file_);
    while (message.next()) {
      if (message.field() == 3) trainer_.model_type = message.integer();
      if (message.field() == 24) trainer_.space_as_suffix = message.boolean();
      if (message.field() == 41) trainer_.bos_id = message.integer();
      if (message.field() == 42) trainer_.eos_id = message.integer();
    }
  }

  void read_normalization(std::string_view bytes) {
    ProtobufReader message(bytes, file_);
    while (message.next()) {
      if (message.field() == 1) normalization_.name = message.bytes();
      if (message.field() == 2) normalization_.character_map = message.bytes();
      if (message.field() == 3) normalization_.dummy_prefix = message.boolean();
      if (message.field() == 4) normalization_.remove_extra_spaces = message.boolean();
      if (message.field() == 5) normalization_.escape_spaces = message.boolean();
    }
  }

  void check() const {
    constexpr std::string_view remedy = "save a tokenizer.json with transformers' AutoTokenizer.save_pretrained";
    if (pieces_.empty()) refuse("it has no pieces, so it is no SentencePiece model", "download it again");
    if (trainer_.model_type != type_bpe) {
      constexpr std::string_view names[] = {"Unigram", "BPE", "Word", "Char"};
      const auto type = static_cast<uint64_t>(trainer_.model_type) - 1;
      refuse(fmt::format("its type is {}, which is not supported", type < 4 ? names[type] : "unknown"), "BPE is");
    }
    if (trainer_.space_as_suffix) refuse("it puts spaces behind words, which is not supported", remedy);
    if (!normalization_.escape_spaces) refuse("it does not write spaces as U+2581, which is not supported", remedy);
    if (!normalization_.character_map.empty()) {
      refuse(fmt::format("its normaliser is \"{}\", which is not supported", printable(normalization_.name)), remedy);
    }
  }

  static std::string printable(std::string_view text) {
    std::string result;
    append_lossy_utf8(result, text, true);
    std::erase_if(result, [](char c) { return static_cast<uint8_t>(c) < 0x20; });
    return result;
  }

  void add_pieces() {
    source_.tokens.resize(pieces_.size());
    source_.ids.reserve(pieces_.size());
    for (size_t i = 0; i < pieces_.size(); ++i) {
      const Piece& piece = pieces_[i];
      const auto id = static_cast<int32_t>(i);
      if (piece.text.empty() || piece.text.size() > max_piece_bytes ||
          valid_utf8_prefix(piece.text) != piece.text.size()) {
        refuse(fmt::format("piece {} is empty, no UTF-8 or longer than {} bytes", id, max_piece_bytes));
      }
      if (!source_.ids.emplace(piece.text, id).second) {
        refuse(fmt::format("piece {}, \"{}\", is there twice", id, printable(piece.text)));
      }
      TokenizerSource::Token& token = source_.tokens[i];
      token.present = true;
      token.spelling = piece.text;
      switch (piece.type) {
        case PieceType::normal: token.merged = true; break;
        case PieceType::unknown:
          if (source_.unknown_id) refuse(fmt::format("piece {} is a second one for the unknown", id));
          source_.unknown_id = id;
          make_special(token.spelling, source_);
          break;
        case PieceType::control: make_special(token.spelling, source_); break;
        case PieceType::user_defined:  // looked for before anything is merged, in the text with its U+2581
          token.added = true;
          source_.added.push_back({token.spelling, id, false, true, false, false, false});
          break;
        case PieceType::byte: add_byte(piece.text, id); break;
        default: refuse(fmt::format("piece {} is of a kind that is not supported", id), "no piece may be unused");
      }
    }
    if (!source_.unknown_id) refuse("it has no piece for the unknown");
  }

  void add_byte(std::string_view text, int32_t id) {
    for (size_t byte = 0; byte < 256; ++byte) {
      if (text == fmt::format("<0x{:02X}>", byte)) {
        source_.byte_ids[byte] = id;
        return;
      }
    }
    refuse(fmt::format("piece {}, \"{}\", is no byte", id, printable(text)));
  }

  /// SentencePiece merges the neighbours whose joint piece has the highest score, however that piece is halved.
  void add_merges() {
    std::vector<int32_t> order;
    for (size_t id = 0; id < pieces_.size(); ++id) {
      if (pieces_[id].type != PieceType::normal) continue;
      if (!std::isfinite(pieces_[id].score)) refuse(fmt::format("piece {} has no finite score", id));
      order.push_back(static_cast<int32_t>(id));
    }
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return pieces_[static_cast<size_t>(a)].score > pieces_[static_cast<size_t>(b)].score;
    });
    const auto normal = [&](std::string_view text) -> std::optional<int32_t> {
      const auto id = source_.find(text);
      return id && pieces_[static_cast<size_t>(*id)].type == PieceType::normal ? id : std::nullopt;
    };
    for (const int32_t id : order) {
      const std::string_view text = pieces_[static_cast<size_t>(id)].text;
      const auto rank = static_cast<uint32_t>(source_.merge_results.size());
      bool halved = false;
      for (size_t at = 0; at < text.size();) {
        const size_t size = utf8_unit_at(text, at).size;
        if (text.size() > size && !source_.ids.contains(std::string(text.substr(at, size)))) {
          refuse(fmt::format("piece {} has the character \"{}\", which is no piece itself: not supported", id,
                             printable(text.substr(at, size))));
        }
        at += size;
        if (at == text.size()) break;
        const auto left = normal(text.substr(0, at));
        const auto right = left ? normal(text.substr(at)) : std::nullopt;
        if (!right) continue;
        source_.merges.push_back({*left, *right, rank});
        halved = true;
      }
      if (halved) source_.merge_results.push_back(id);
    }
    if (source_.merge_results.size() > max_merges) refuse(fmt::format("it has more than {} merges", max_merges));
  }

  void add_normalizer(const SentencePieceOptions& options) {
    std::vector<NormalizerStep>& steps = source_.normalizer;
    if (normalization_.remove_extra_spaces) {
      steps.push_back({NormalizerStepKind::replace_pattern, R"(\A +| +\z)", ""});
      steps.push_back({NormalizerStepKind::replace_pattern, R"( {2,})", " "});
    }
    if (normalization_.dummy_prefix && options.prefix_space) {
      const auto kind = options.legacy ? NormalizerStepKind::prepend : NormalizerStepKind::prepend_first;
      steps.push_back({kind, {}, std::string(metaspace)});
    }
    steps.push_back({NormalizerStepKind::replace, " ", std::string(metaspace)});
  }

  std::string_view bytes_;
  std::string_view file_;
  std::vector<Piece> pieces_;
  Trainer trainer_;
  Normalization normalization_;
  TokenizerSource source_;
};

}  // namespace

TokenizerSource read_sentencepiece(std::string_view bytes, std::string_view file, const SentencePieceOptions& options) {
  return ModelReader(bytes, file).read(options);
}

}  // namespace incipit
