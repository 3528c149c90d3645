// What LevelDB and RocksDB have in common: RocksDB kept the names of LevelDB's
// interface, so one adapter serves both. Before including it, an engine's file
// names the namespace: `namespace db = leveldb;`.
#pragma once

#include "engine.h"

inline void Must(const db::Status& s) {
  if (!s.ok()) throw Failure(s.ToString());
}

inline db::Slice SliceOf(Bytes b) { return {b.data(), b.size()}; }
inline Bytes BytesOf(const db::Slice& s) { return {s.data(), s.size()}; }

inline db::ReadOptions Verified() {
  db::ReadOptions o;
  o.verify_checksums = true;
  return o;
}

inline db::WriteOptions Synced(bool sync) {
  db::WriteOptions o;
  o.sync = sync;
  return o;
}

class AdapterIter final : public Iter {
 public:
  explicit AdapterIter(db::Iterator* it) : it_(it) {}
  bool SeekGE(Bytes key) override { return it_->Seek(SliceOf(key)), it_->Valid(); }
  bool First() override { return it_->SeekToFirst(), it_->Valid(); }
  bool Last() override { return it_->SeekToLast(), it_->Valid(); }
  bool Next() override { return it_->Next(), it_->Valid(); }
  bool Prev() override { return it_->Prev(), it_->Valid(); }
  Bytes Key() const override { return BytesOf(it_->key()); }
  Bytes Value() const override { return BytesOf(it_->value()); }
  void Check() const override { Must(it_->status()); }

 private:
  std::unique_ptr<db::Iterator> it_;
};

class AdapterBatch final : public Batch {
 public:
  explicit AdapterBatch(db::DB* db) : db_(db) {}
  void Put(Bytes key, Bytes value) override { batch_.Put(SliceOf(key), SliceOf(value)); }
  void Commit() override {
    Must(db_->Write(Synced(false), &batch_));
    batch_.Clear();
  }

 private:
  db::DB* db_;
  db::WriteBatch batch_;
};

class AdapterDB : public DB {
 public:
  void Put(Bytes key, Bytes value, bool sync) override {
    Must(db_->Put(sync ? sync_ : no_sync_, SliceOf(key), SliceOf(value)));
  }
  void Delete(Bytes key) override { Must(db_->Delete(no_sync_, SliceOf(key))); }
  bool Get(Bytes key, std::string* value) override {
    const db::Status s = db_->Get(read_, SliceOf(key), value);
    if (s.IsNotFound()) return false;
    Must(s);
    return true;
  }
  std::unique_ptr<Batch> NewBatch() override { return std::make_unique<AdapterBatch>(db_.get()); }
  std::unique_ptr<Iter> NewIter() override { return std::make_unique<AdapterIter>(db_->NewIterator(read_)); }

 protected:
  std::unique_ptr<db::DB> db_;
  const db::ReadOptions read_ = Verified();
  const db::WriteOptions sync_ = Synced(true), no_sync_ = Synced(false);
};
