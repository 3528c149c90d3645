// The interface between the workloads and an engine in C++: that of engine.go.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

// The settings that every engine runs with, as in engine.go.
constexpr size_t kMemtableBytes = 64 << 20;
constexpr size_t kCacheBytes = 128 << 20;
constexpr size_t kBlockBytes = 4 << 10;
constexpr int kFilterBits = 10;
constexpr int kOpenFiles = 1000;
constexpr int kCompactors = 2;

using Bytes = std::string_view;

// Failure is what any call below throws.
using Failure = std::runtime_error;

// An Iter walks keys in order; its bytes are valid until it moves.
class Iter {
 public:
  virtual ~Iter() = default;
  virtual bool SeekGE(Bytes key) = 0;
  virtual bool First() = 0;
  virtual bool Last() = 0;
  virtual bool Next() = 0;
  virtual bool Prev() = 0;
  virtual Bytes Key() const = 0;
  virtual Bytes Value() const = 0;
  // Check throws if something other than the end ended the walk.
  virtual void Check() const = 0;
};

class Batch {
 public:
  virtual ~Batch() = default;
  virtual void Put(Bytes key, Bytes value) = 0;
  virtual void Commit() = 0;  // empties it
};

// A DB is an open database. Several threads may call it.
class DB {
 public:
  virtual ~DB() = default;  // closes it
  virtual void Put(Bytes key, Bytes value, bool sync) = 0;
  virtual void Delete(Bytes key) = 0;
  // Get copies the value into the caller's string.
  virtual bool Get(Bytes key, std::string* value) = 0;
  virtual std::unique_ptr<Batch> NewBatch() = 0;
  virtual std::unique_ptr<Iter> NewIter() = 0;
  virtual void Sync() = 0;
  // WaitIdle waits for flushes and compactions, and returns the seconds of it
  // that only served to notice.
  virtual double WaitIdle() = 0;
  virtual void Compact() = 0;
};

// What the file of an engine defines.
extern const char* const kEngineName;
std::string EngineVersion();
std::unique_ptr<DB> OpenDB(const std::string& dir);

// WaitUntilCalm polls busy until it said no often enough in a row, and returns
// how long that took.
double WaitUntilCalm(double every_seconds, int times, const std::function<bool()>& busy);

// CPUSeconds returns the processor time of this process so far.
double CPUSeconds();
