// LevelDB with the common settings; what they leave open is as by default. It
// has one background thread, and compacts because of seeks, which cannot be
// turned off.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

namespace db = leveldb;
#include "adapter.h"

const char* const kEngineName = "leveldb";

std::string EngineVersion() {
  return std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion);
}

namespace {

class LevelDB final : public AdapterDB {
 public:
  explicit LevelDB(const std::string& dir)
      : cache_(leveldb::NewLRUCache(kCacheBytes)), filter_(leveldb::NewBloomFilterPolicy(kFilterBits)) {
    leveldb::Options o;
    o.create_if_missing = true;
    o.write_buffer_size = kMemtableBytes;
    o.block_cache = cache_.get();
    o.block_size = kBlockBytes;
    o.filter_policy = filter_.get();
    o.max_open_files = kOpenFiles;
    o.compression = leveldb::kSnappyCompression;
    leveldb::DB* db = nullptr;
    Must(leveldb::DB::Open(o, dir, &db));
    db_.reset(db);
  }
  // The database ends before the cache and the filter that it uses.
  ~LevelDB() override { db_.reset(); }

  void Sync() override {
    leveldb::WriteBatch empty;
    Must(db_->Write(sync_, &empty));
  }
  // LevelDB does not tell whether it is at work; its processor time does.
  double WaitIdle() override {
    const double every = 0.02;
    double last = CPUSeconds();
    return WaitUntilCalm(every, 8, [&] {
      const double now = CPUSeconds(), spent = now - last;
      last = now;
      return spent >= every / 10;
    });
  }
  void Compact() override { db_->CompactRange(nullptr, nullptr); }

 private:
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
};

}  // namespace

std::unique_ptr<DB> OpenDB(const std::string& dir) { return std::make_unique<LevelDB>(dir); }
