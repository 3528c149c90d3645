// A hand that drives LevelDB for the exchange tests: paranoid checks and
// checksums always on, one command a run.
//
//   leveldb_tool COMPARER COMMAND DIR [create] [small] [nocompression] [bloom]
//
//   dump     prints every entry forwards (F key value), backwards (B key value),
//            and what Get gives for each key (G key value)
//   apply    reads writes from standard input: P key value, D key, C (compact
//            everything), W (write what came before as one batch)
//   hold     opens, prints "held", waits for the end of standard input
//   repair   leveldb::RepairDB
//
// Keys and values are hexadecimal, "-" when empty. Status 0 is success, 2 a
// failure to open or repair, 3 a later one; the message goes to standard error.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

#include "leveldb/comparator.h"
#include "leveldb/db.h"
#include "leveldb/filter_policy.h"
#include "leveldb/iterator.h"
#include "leveldb/options.h"
#include "leveldb/write_batch.h"

#include "indexeddb.h"

using leveldb::Slice;
using leveldb::Status;

namespace {

// An order without shortened keys.
class Order : public leveldb::Comparator {
 public:
  Order(const char* name, int (*compare)(const Slice&, const Slice&)) : name_(name), compare_(compare) {}
  int Compare(const Slice& a, const Slice& b) const override { return compare_(a, b); }
  const char* Name() const override { return name_; }
  void FindShortestSeparator(std::string*, const Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}

 private:
  const char* name_;
  int (*compare_)(const Slice&, const Slice&);
};

int Reverse(const Slice& a, const Slice& b) { return b.compare(a); }

int LenFirst(const Slice& a, const Slice& b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

const leveldb::Comparator* FindOrder(const std::string& name) {
  static const Order orders[] = {{"interop.reverse", Reverse}, {"interop.lenfirst", LenFirst}, {"idb_cmp1", CompareIndexedDB}};
  for (const Order& order : orders) {
    if (name == order.Name()) return &order;
  }
  if (name == leveldb::BytewiseComparator()->Name()) return leveldb::BytewiseComparator();
  std::cerr << "no comparer " << name << "\n";
  exit(1);
}

std::string Hex(const Slice& s) {
  static const char digits[] = "0123456789abcdef";
  if (s.empty()) return "-";
  std::string hex;
  hex.reserve(2 * s.size());
  for (size_t i = 0; i < s.size(); i++) {
    const unsigned char c = static_cast<unsigned char>(s[i]);
    hex += digits[c >> 4];
    hex += digits[c & 15];
  }
  return hex;
}

std::string Unhex(const std::string& hex) {
  std::string s;
  if (hex == "-") return s;
  s.reserve(hex.size() / 2);
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    s += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return s;
}

// Check ends the program if a status is not ok.
void Check(const Status& s, int code) {
  if (s.ok()) return;
  std::cerr << s.ToString() << "\n";
  exit(code);
}

void Print(char direction, const Slice& key, const Slice& value) {
  std::cout << direction << ' ' << Hex(key) << ' ' << Hex(value) << '\n';
}

void Dump(leveldb::DB* db) {
  leveldb::ReadOptions checked;
  checked.verify_checksums = true;
  std::unique_ptr<leveldb::Iterator> it(db->NewIterator(checked));
  for (it->SeekToFirst(); it->Valid(); it->Next()) Print('F', it->key(), it->value());
  Check(it->status(), 3);
  for (it->SeekToLast(); it->Valid(); it->Prev()) Print('B', it->key(), it->value());
  Check(it->status(), 3);
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    std::string value;
    Check(db->Get(checked, it->key(), &value), 3);
    Print('G', it->key(), value);
  }
  Check(it->status(), 3);
}

void Apply(leveldb::DB* db) {
  leveldb::WriteBatch batch;
  std::string op, key, value;
  while (std::cin >> op) {
    if (op == "P" && std::cin >> key >> value) {
      batch.Put(Unhex(key), Unhex(value));
    } else if (op == "D" && std::cin >> key) {
      batch.Delete(Unhex(key));
    } else {
      Check(db->Write(leveldb::WriteOptions(), &batch), 3);
      batch.Clear();
      if (op == "C") db->CompactRange(nullptr, nullptr);
    }
  }
  Check(db->Write(leveldb::WriteOptions(), &batch), 3);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: leveldb_tool comparer command dir [option...]\n";
    return 1;
  }
  const std::string command = argv[2], dir = argv[3];
  leveldb::Options options;
  options.comparator = FindOrder(argv[1]);
  options.paranoid_checks = true;
  std::unique_ptr<const leveldb::FilterPolicy> bloom(leveldb::NewBloomFilterPolicy(10));
  for (int i = 4; i < argc; i++) {
    const std::string option = argv[i];
    if (option == "create") options.create_if_missing = true;
    if (option == "small") {
      options.write_buffer_size = 64 << 10;
      options.max_file_size = 1 << 20;
      options.block_size = 1 << 10;
    }
    if (option == "nocompression") options.compression = leveldb::kNoCompression;
    if (option == "bloom") options.filter_policy = bloom.get();
  }
  if (command == "repair") {
    Check(leveldb::RepairDB(dir, options), 2);
    return 0;
  }
  leveldb::DB* opened = nullptr;
  Check(leveldb::DB::Open(options, dir, &opened), 2);
  std::unique_ptr<leveldb::DB> db(opened);
  if (command == "dump") {
    Dump(db.get());
  } else if (command == "apply") {
    Apply(db.get());
  } else if (command == "hold") {
    std::cout << "held" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
    }
  } else {
    std::cerr << "unknown command " << command << "\n";
    return 1;
  }
  return 0;
}
