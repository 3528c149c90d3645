// The order of Chromium's IndexedDB keys. internal/testcorpus/indexeddb.go draws
// the bytes; this is the same order, for keys that can be decoded.

#ifndef STRATA_EXCHANGE_INDEXEDDB_H_
#define STRATA_EXCHANGE_INDEXEDDB_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "leveldb/slice.h"

// One key, read from the front. What cannot be read gives zeros and bad().
class IndexedDBReader {
 public:
  explicit IndexedDBReader(const leveldb::Slice& s) : rest_(s) {}

  bool bad() const { return bad_; }
  bool empty() const { return rest_.empty(); }
  const leveldb::Slice& rest() const { return rest_; }

  leveldb::Slice Take(uint64_t n) {
    if (n > rest_.size()) {
      bad_ = true;
      rest_.clear();
      return leveldb::Slice();
    }
    const leveldb::Slice taken(rest_.data(), n);
    rest_.remove_prefix(n);
    return taken;
  }

  uint8_t Byte() {
    const leveldb::Slice s = Take(1);
    return s.empty() ? 0 : static_cast<uint8_t>(s[0]);
  }

  uint64_t Int(int width) {
    const leveldb::Slice s = Take(width);
    uint64_t v = 0;
    for (size_t i = 0; i < s.size(); i++) v |= uint64_t{static_cast<uint8_t>(s[i])} << (8 * i);
    return v;
  }

  uint64_t Varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t c = Byte();
      v |= uint64_t{c & 0x7fu} << shift;
      if (c < 0x80) break;
    }
    return v;
  }

  double Double() {
    const leveldb::Slice s = Take(8);
    double d = 0;
    if (s.size() == 8) memcpy(&d, s.data(), 8);
    return d;
  }

 private:
  leveldb::Slice rest_;
  bool bad_ = false;
};

template <typename T>
inline int CompareValues(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

inline int CompareCounted(IndexedDBReader* a, IndexedDBReader* b, uint64_t unit) {
  const uint64_t n = a->Varint(), m = b->Varint();
  const leveldb::Slice x = a->Take(n * unit), y = b->Take(m * unit);
  return x.compare(y);
}

inline int CompareKeys(IndexedDBReader* a, IndexedDBReader* b) {
  // Rank of each type byte: least, number, date, string, binary, array, null.
  static const int rank[] = {6, 3, 2, 1, 5, 0, 4};
  const uint8_t type = a->Byte(), other = b->Byte();
  if (type > 6 || other > 6) return CompareValues(type, other);
  if (type != other) return CompareValues(rank[type], rank[other]);
  switch (type) {
    case 1:
      return CompareCounted(a, b, 2);
    case 2:
    case 3:
      return CompareValues(a->Double(), b->Double());
    case 4: {
      const uint64_t n = a->Varint(), m = b->Varint();
      for (uint64_t i = 0; i < n && i < m && !a->bad() && !b->bad(); i++) {
        if (const int r = CompareKeys(a, b)) return r;
      }
      return CompareValues(n, m);
    }
    case 6:
      return CompareCounted(a, b, 1);
  }
  return 0;
}

// The fields of a metadata key of type t: v varint, b byte, s string.
inline const char* MetadataFields(bool global, uint8_t t) {
  if (global) return t == 100 ? "v" : t == 201 ? "ss" : "";
  switch (t) {
    case 50:
      return "vb";
    case 100:
      return "vvb";
    case 150:
      return "v";
    case 151:
      return "vv";
    case 200:
      return "s";
    case 201:
      return "vs";
  }
  return "";
}

inline int CompareMetadata(IndexedDBReader* a, IndexedDBReader* b, bool global) {
  const uint8_t type = a->Byte(), other = b->Byte();
  if (type != other) return CompareValues(type, other);
  for (const char* f = MetadataFields(global, type); *f != 0; f++) {
    const int r = *f == 'v' ? CompareValues(a->Varint(), b->Varint())
                            : *f == 'b' ? CompareValues(a->Byte(), b->Byte()) : CompareCounted(a, b, 2);
    if (r != 0) return r;
  }
  return a->rest().compare(b->rest());
}

inline int CompareIndexedDB(const leveldb::Slice& key_a, const leveldb::Slice& key_b) {
  IndexedDBReader a(key_a), b(key_b);
  const uint8_t wa = a.Byte(), wb = b.Byte();
  const int shifts[] = {5, 2, 0}, masks[] = {7, 7, 3};
  uint64_t id[3];
  for (int i = 0; i < 3; i++) {
    id[i] = a.Int((wa >> shifts[i] & masks[i]) + 1);
    const uint64_t other = b.Int((wb >> shifts[i] & masks[i]) + 1);
    if (id[i] != other) return CompareValues(id[i], other);
  }
  if (id[0] == 0 || id[1] == 0) return CompareMetadata(&a, &b, id[0] == 0);
  if (a.empty() || b.empty()) return CompareValues(a.rest().size(), b.rest().size());
  if (const int r = CompareKeys(&a, &b)) return r;
  if (id[2] < 30) return a.rest().compare(b.rest());
  // An index entry: the primary key counts before the sequence number.
  uint64_t sequence_a = 0, sequence_b = 0;
  if (!a.empty() && !b.empty()) {
    sequence_a = a.Varint();
    sequence_b = b.Varint();
  }
  if (a.empty() || b.empty()) return CompareValues(a.rest().size(), b.rest().size());
  if (const int r = CompareKeys(&a, &b)) return r;
  return CompareValues(sequence_a, sequence_b);
}

#endif  // STRATA_EXCHANGE_INDEXEDDB_H_
