// RocksDB with the common settings. What they leave open follows its tuning
// guide: full filters, levels sized from the last one upwards, four memtables.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

namespace db = rocksdb;
#include "adapter.h"

const char* const kEngineName = "rocksdb";

std::string EngineVersion() {
  return std::to_string(ROCKSDB_MAJOR) + "." + std::to_string(ROCKSDB_MINOR) + "." + std::to_string(ROCKSDB_PATCH);
}

namespace {

rocksdb::Options OptionsOfRocksDB() {
  rocksdb::BlockBasedTableOptions t;
  t.block_cache = rocksdb::NewLRUCache(kCacheBytes);
  t.block_size = kBlockBytes;
  t.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBits, false));
  rocksdb::Options o;
  o.create_if_missing = true;
  o.write_buffer_size = kMemtableBytes;
  o.max_write_buffer_number = 4;
  o.max_open_files = kOpenFiles;
  o.max_background_jobs = kCompactors + 1;  // of these RocksDB keeps one for flushes
  o.level_compaction_dynamic_level_bytes = true;
  o.compression = rocksdb::kSnappyCompression;
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(t));
  return o;
}

class RocksDB final : public AdapterDB {
 public:
  explicit RocksDB(const std::string& dir) {
    rocksdb::DB* db = nullptr;
    Must(rocksdb::DB::Open(OptionsOfRocksDB(), dir, &db));
    db_.reset(db);
  }

  void Sync() override { Must(db_->SyncWAL()); }
  double WaitIdle() override {
    return WaitUntilCalm(0.005, 10, [&] {
      for (const auto& name : {rocksdb::DB::Properties::kNumRunningFlushes, rocksdb::DB::Properties::kNumRunningCompactions,
                               rocksdb::DB::Properties::kMemTableFlushPending, rocksdb::DB::Properties::kCompactionPending}) {
        uint64_t n = 0;
        if (db_->GetIntProperty(name, &n) && n > 0) return true;
      }
      return false;
    });
  }
  void Compact() override {
    rocksdb::CompactRangeOptions o;
    o.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    Must(db_->CompactRange(o, nullptr, nullptr));
  }
};

}  // namespace

std::unique_ptr<DB> OpenDB(const std::string& dir) { return std::make_unique<RocksDB>(dir); }
