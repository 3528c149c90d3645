// One workload on one engine in C++, timed: the counterpart of child.go and
// workload.go, whose workloads it repeats under their names. The parent starts
// it in a process of its own and reads one line of JSON, a result of child.go.
//
//   peer version
//   peer WORKLOAD DIR NUM READS SEED REPEAT
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"
#include "gen.h"

using Clock = std::chrono::steady_clock;

static double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double CPUSeconds() {
  struct rusage u;
  if (getrusage(RUSAGE_SELF, &u) != 0) return 0;
  const auto of = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
  return of(u.ru_utime) + of(u.ru_stime);
}

double WaitUntilCalm(double every, int times, const std::function<bool()>& busy) {
  for (int calm = 0; calm < times;) {
    std::this_thread::sleep_for(std::chrono::duration<double>(every));
    calm = busy() ? 0 : calm + 1;
  }
  return every * times;
}

static double Median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

// Together runs fn in n threads and throws the first of their failures.
static void Together(int n, const std::function<void(int)>& fn) {
  std::mutex mu;
  std::string failure;
  std::vector<std::thread> threads;
  for (int g = 0; g < n; g++) {
    threads.emplace_back([&, g] {
      try {
        fn(g);
      } catch (const std::exception& e) {
        std::lock_guard<std::mutex> lock(mu);
        if (failure.empty()) failure = e.what();
      }
    });
  }
  for (auto& t : threads) t.join();
  if (!failure.empty()) throw Failure(failure);
}

using Order = std::function<uint64_t(uint64_t)>;

// A Run is what a workload runs in, and what comes out of it.
struct Run {
  std::string workload, dir;
  uint64_t num, reads, seed;
  int repeat;

  std::unique_ptr<DB> db;
  std::unique_ptr<gen::Values> values;
  std::unique_ptr<gen::Perm> perm;

  uint64_t ops = 0, hits = 0, want = 0, entries = 0;
  double seconds = 0, background = 0, cpu = 0;
  std::map<std::string, double> more;

  void Timed(uint64_t n, const std::function<void()>& fn) {
    const double before = CPUSeconds();
    const auto start = Clock::now();
    fn();
    seconds = Since(start), cpu = CPUSeconds() - before, ops = n;
  }

  Order Shuffled() const {
    return [this](uint64_t i) { return perm->At(i); };
  }

  void AwaitBackground() {
    const auto start = Clock::now();
    const double idle = db->WaitIdle();
    background = std::max(0.0, Since(start) - idle);
  }

  // Checksums do not depend on the order of entries; see workload.go.
  static uint64_t Sum(Bytes key, Bytes value) {
    uint64_t k, v;
    memcpy(&k, key.data() + 8, 8), memcpy(&v, value.data(), 8);
    return k * 31 + v;
  }
  uint64_t WantSum() const {
    std::string key;
    uint64_t s = 0;
    for (uint64_t k = 0; k < num; k++) s += Sum(gen::Key(&key, k), values->At(k));
    return s;
  }
  std::pair<uint64_t, uint64_t> Walk(bool reverse) {
    uint64_t n = 0, s = 0;
    auto it = db->NewIter();
    for (bool ok = reverse ? it->Last() : it->First(); ok; ok = reverse ? it->Prev() : it->Next()) {
      s += Sum(it->Key(), it->Value());
      n++;
    }
    it->Check();
    return {n, s};
  }
  void CheckAll() {
    const auto [n, s] = Walk(false);
    hits = n, want = num;
    if (n == num && s != WantSum()) throw Failure("the database holds other bytes than were written");
  }

  // WriteShare writes every n-th key from the g-th on.
  void WriteShare(int g, int n, const Order& order, bool sync) {
    std::string key;
    for (uint64_t i = g; i < num; i += n) {
      const uint64_t k = order(i);
      db->Put(gen::Key(&key, k), values->At(k), sync);
    }
  }
  void Fill(int writers, const Order& order) {
    Timed(num, [&] { Together(writers, [&](int g) { WriteShare(g, writers, order, false); }); });
    AwaitBackground();
    CheckAll();
  }
  void FillBatch() {
    Timed(num, [&] {
      auto batch = db->NewBatch();
      std::string key;
      for (uint64_t i = 0; i < num; i++) {
        const uint64_t k = perm->At(i);
        batch->Put(gen::Key(&key, k), values->At(k));
        if ((i + 1) % 100 == 0 || i + 1 == num) batch->Commit();
      }
    });
    AwaitBackground();
    CheckAll();
  }
  void Shrink(uint64_t n) {
    num = n;
    perm = std::make_unique<gen::Perm>(n, seed);
  }
  void FillSync(int writers, uint64_t n) {
    Shrink(n);
    Timed(n, [&] { Together(writers, [&](int g) { WriteShare(g, writers, Shuffled(), true); }); });
    CheckAll();
  }
  void Latency() {
    std::vector<uint32_t> ns(num);
    Timed(num, [&] {
      std::string key;
      auto last = Clock::now();
      for (uint64_t i = 0; i < num; i++) {
        const uint64_t k = perm->At(i);
        db->Put(gen::Key(&key, k), values->At(k), false);
        const auto now = Clock::now();
        ns[i] = uint32_t(std::min<int64_t>(std::chrono::nanoseconds(now - last).count(), 4000000000));
        last = now;
      }
    });
    std::sort(ns.begin(), ns.end());
    for (const auto& [name, q] : {std::pair<const char*, double>{"p50 µs", 0.5}, {"p99 µs", 0.99}, {"p99.9 µs", 0.999}, {"max µs", 1}}) {
      more[name] = ns[std::max<int64_t>(0, int64_t(std::ceil(q * double(ns.size()))) - 1)] / 1e3;
    }
    CheckAll();
  }

  // Get reports whether key number k has its value.
  bool Get(std::string* key, std::string* value, uint64_t k) {
    return db->Get(gen::Key(key, k), value) && *value == values->At(k);
  }
  void WarmUp() {
    std::string key, value;
    for (uint64_t k = 0; k < num; k++) {
      if (!Get(&key, &value, k)) throw Failure("key " + key + " is lost or has a wrong value");
    }
  }
  void Readers(int n, const std::function<uint64_t(gen::Rand*)>& pick) {
    WarmUp();
    std::atomic<uint64_t> found{0};
    Timed(n * reads, [&] {
      Together(n, [&](int g) {
        gen::Rand rng(seed, uint64_t(g) + 77);
        std::string key, value;
        uint64_t mine = 0;
        for (uint64_t i = 0; i < reads; i++) mine += Get(&key, &value, pick(&rng));
        found += mine;
      });
    });
    hits = found, want = n * reads;
  }
  void ReadRandom(int n) {
    Readers(n, [this](gen::Rand* rng) { return rng->Uint64N(num); });
  }
  void ReadHot() {
    const uint64_t hot = std::max<uint64_t>(1, num / 100);
    Readers(1, [this, hot](gen::Rand* rng) { return gen::Mix(rng->Uint64N(hot)) % num; });
  }
  void ReadMissing() {
    WarmUp();
    uint64_t missed = 0;
    Timed(reads, [&] {
      gen::Rand rng(seed, 78);
      std::string key, value;
      for (uint64_t i = 0; i < reads; i++) {
        gen::Key(&key, rng.Uint64N(num));
        key.push_back('.');
        missed += !db->Get(key, &value);
      }
    });
    hits = missed, want = reads;
  }
  void ScanAll(bool reverse, bool warm) {
    const uint64_t wanted = WantSum();
    const int passes = warm ? 5 : 1;
    if (warm) Walk(reverse);
    std::vector<double> each;
    Timed(passes * num, [&] {
      for (int p = 0; p < passes; p++) {
        const auto start = Clock::now();
        const auto [n, s] = Walk(reverse);
        each.push_back(Since(start));
        hits = n, want = num;
        if (n == num && s != wanted) throw Failure("the scan saw other bytes than were written");
        if (n != num) throw Failure("the scan saw " + std::to_string(n) + " entries of " + std::to_string(num));
      }
    });
    ops = num, seconds = Median(each);
  }
  bool SeekOne(Iter* it, Bytes key, uint64_t k) {
    if (!it->SeekGE(key) || it->Key() != key || it->Value() != values->At(k)) return false;
    uint64_t steps = 0;
    for (; steps < 10 && it->Next(); steps++) {
      volatile size_t used = it->Key().size() + it->Value().size();
      (void)used;
    }
    return steps == std::min<uint64_t>(10, num - 1 - k);
  }
  void SeekRandom(bool reuse) {
    WarmUp();
    const uint64_t n = reads / 4;
    uint64_t good = 0;
    Timed(n, [&] {
      gen::Rand rng(seed, 79);
      std::string key;
      std::unique_ptr<Iter> it;
      for (uint64_t i = 0; i < n; i++) {
        if (!it || !reuse) it = db->NewIter();
        const uint64_t k = rng.Uint64N(num);
        good += SeekOne(it.get(), gen::Key(&key, k), k);
        if (!reuse || i == n - 1) it->Check();
      }
    });
    hits = good, want = n;
  }
  void ReadWhileWriting() {
    WarmUp();
    const double length = std::min(5.0, std::max(0.2, double(num) * 5e-6));
    uint64_t read = 0, found = 0, written = 0;
    std::atomic<bool> done{false};
    Timed(0, [&] {
      Together(2, [&](int g) {
        std::string key, value;
        if (g == 0) {
          struct Last {
            std::atomic<bool>* done;
            ~Last() { done->store(true); }
          } last{&done};
          gen::Rand rng(seed, 80);
          for (const auto start = Clock::now(); read % 64 != 0 || Since(start) < length; read++) {
            found += Get(&key, &value, rng.Uint64N(num));
          }
          return;
        }
        gen::Rand rng(seed, 81);
        for (; !done.load(); written++) {
          const uint64_t k = rng.Uint64N(num);
          db->Put(gen::Key(&key, k), values->At(k), false);
        }
      });
    });
    ops = want = read, hits = found;
    more["writer ops/s"] = double(written) / seconds;
  }
  void DeleteRandom() {
    Timed(num, [&] {
      std::string key;
      for (uint64_t i = 0; i < num; i++) db->Delete(gen::Key(&key, perm->At(i)));
    });
    const auto start = Clock::now();
    hits = Walk(false).first, want = 0;
    more["scan after ms"] = Since(start) * 1e3;
    AwaitBackground();
  }
  void Compact() {
    Timed(1, [&] { db->Compact(); });
    CheckAll();
  }
  static uint64_t WALNum(uint64_t n) { return std::max<uint64_t>(1, n * 7 / 20); }
  void Reopen(int times) {
    std::vector<double> each;
    for (int i = 0; i < times; i++) {
      db.reset();
      Timed(1, [&] { db = OpenDB(dir); });
      each.push_back(seconds);
    }
    seconds = Median(each);
    if (times == 1) num = WALNum(num);
    hits = Walk(false).first, want = num;
  }
  void YCSB(uint64_t updates, uint64_t rmws) {
    WarmUp();
    gen::Rand rng(seed, 82);
    gen::Zipf zipf(&rng, num, 0.99);
    Timed(reads / 2, [&] {
      std::string key, value;
      for (uint64_t i = 0; i < reads / 2; i++) {
        const uint64_t k = zipf.NextScrambled(), what = rng.Uint64N(100);
        if (what >= updates) want++, hits += Get(&key, &value, k);
        if (what < updates + rmws) db->Put(gen::Key(&key, k), values->At(k), false);
      }
    });
  }
  // ScanFrom reads n entries from number k on; see ycsb.go.
  bool ScanFrom(std::string* key, uint64_t k, uint64_t n) {
    auto it = db->NewIter();
    bool right = it->SeekGE(gen::Key(key, k)) && it->Key() == *key && it->Value() == values->At(k);
    uint64_t seen = 1;
    for (; right && seen < n && it->Next(); seen++) {
      volatile size_t used = it->Key().size() + it->Value().size();
      (void)used;
    }
    it->Check();
    return right && seen == n && it->Key() == gen::Key(key, k + n - 1);
  }
  void YCSBGrowing(bool scans) {
    WarmUp();
    gen::Rand rng(seed, 83);
    gen::Zipf zipf(&rng, num, 0.99);
    uint64_t n = num;
    const uint64_t times = scans ? std::max<uint64_t>(1, reads / 20) : reads / 2;
    Timed(times, [&] {
      std::string key, value;
      for (uint64_t i = 0; i < times; i++) {
        if (rng.Uint64N(100) < 5) {
          db->Put(gen::Key(&key, n), values->At(n), false);
          zipf.Grow(++n);
          continue;
        }
        want++;
        if (scans) {
          const uint64_t k = zipf.NextScrambled();
          hits += ScanFrom(&key, k, std::min(1 + rng.Uint64N(100), n - k));
        } else {
          hits += Get(&key, &value, zipf.NextLatest());
        }
      }
    });
  }
  // Queue: see queue.go.
  void Queue() {
    const uint64_t depth = std::min<uint64_t>(1000, num), n = std::min<uint64_t>(5000, num);
    std::string key;
    for (uint64_t i = 0; i < depth; i++) db->Put(gen::Key(&key, i), values->At(i), false);
    Timed(n, [&] {
      for (uint64_t i = 0; i < n; i++) {
        db->Put(gen::Key(&key, i + depth), values->At(i + depth), false);
        auto it = db->NewIter();
        const bool found = it->First();
        hits += found && it->Key() == gen::Key(&key, i) && it->Value() == values->At(i);
        it->Check();
        db->Delete(gen::Key(&key, i));
      }
    });
    want = n;
  }
  void Load(bool compact) {
    Fill(1, Shuffled());
    if (!compact) return;
    const auto start = Clock::now();
    db->Compact();
    db->WaitIdle();
    more["compact ms"] = Since(start) * 1e3;
  }
  [[noreturn]] void LoadWAL() {
    Shrink(WALNum(num));
    WriteShare(0, 1, Shuffled(), false);
    db->Sync();
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }

  void Go();
  void Print(const std::string& error) const;
};

// The workloads by their names in workload.go.
static const std::map<std::string, void (*)(Run*)> kWorkloads = {
    {"fillseq", [](Run* r) { r->Fill(1, [](uint64_t i) { return i; }); }},
    {"fillrandom", [](Run* r) { r->Fill(1, r->Shuffled()); }},
    {"overwrite",
     [](Run* r) {
       const gen::Perm other(r->num, r->seed + 1000);
       r->Fill(1, [&](uint64_t i) { return other.At(i); });
     }},
    {"fillbatch100", [](Run* r) { r->FillBatch(); }},
    {"fillrandom4", [](Run* r) { r->Fill(4, r->Shuffled()); }},
    {"fillsync", [](Run* r) { r->FillSync(1, std::max<uint64_t>(1, r->num / 1000)); }},
    {"fillsync16", [](Run* r) { r->FillSync(16, std::max<uint64_t>(16, r->num / 250)); }},
    {"fill4k", [](Run* r) { r->Fill(1, r->Shuffled()); }},
    {"latency", [](Run* r) { r->Latency(); }},
    {"readrandom", [](Run* r) { r->ReadRandom(1); }},
    {"readrandom-uncompacted", [](Run* r) { r->ReadRandom(1); }},
    {"readmissing", [](Run* r) { r->ReadMissing(); }},
    {"readhot", [](Run* r) { r->ReadHot(); }},
    {"readrandom2", [](Run* r) { r->ReadRandom(2); }},
    {"read4k", [](Run* r) { r->ReadRandom(1); }},
    {"readseq", [](Run* r) { r->ScanAll(false, true); }},
    {"readseq-cold", [](Run* r) { r->ScanAll(false, false); }},
    {"readreverse", [](Run* r) { r->ScanAll(true, true); }},
    {"seekrandom", [](Run* r) { r->SeekRandom(false); }},
    {"seekrandom-reuse", [](Run* r) { r->SeekRandom(true); }},
    {"readwhilewriting", [](Run* r) { r->ReadWhileWriting(); }},
    {"deleterandom", [](Run* r) { r->DeleteRandom(); }},
    {"compact", [](Run* r) { r->Compact(); }},
    {"reopen-wal", [](Run* r) { r->Reopen(1); }},
    {"open", [](Run* r) { r->Reopen(9); }},
    {"ycsba", [](Run* r) { r->YCSB(50, 0); }},
    {"ycsbb", [](Run* r) { r->YCSB(5, 0); }},
    {"ycsbc", [](Run* r) { r->YCSB(0, 0); }},
    {"ycsbd", [](Run* r) { r->YCSBGrowing(false); }},
    {"ycsbe", [](Run* r) { r->YCSBGrowing(true); }},
    {"ycsbf", [](Run* r) { r->YCSB(0, 50); }},
    {"queue", [](Run* r) { r->Queue(); }},
    {"load", [](Run* r) { r->Load(true); }},
    {"load-uncompacted", [](Run* r) { r->Load(false); }},
    {"load-wal", [](Run* r) { r->LoadWAL(); }},
    {"load4k", [](Run* r) { r->Load(true); }},
};

void Run::Go() {
  const auto w = kWorkloads.find(workload);
  if (w == kWorkloads.end()) throw Failure("no workload \"" + workload + "\"");
  const bool big = workload == "fill4k" || workload == "read4k" || workload == "load4k";
  values = std::make_unique<gen::Values>(big ? 4096 : 100, 0.5, 301);
  perm = std::make_unique<gen::Perm>(num, seed);
  std::filesystem::create_directories(dir);
  if (workload != "open" && workload != "reopen-wal") db = OpenDB(dir);
  w->second(this);
  db.reset();
  if (hits != want) throw Failure("wrong answers: " + std::to_string(hits) + " hits, want " + std::to_string(want));
}

static std::string Quoted(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}

void Run::Print(const std::string& error) const {
  printf("{\"engine\":%s,\"workload\":%s,\"repeat\":%d,\"num\":%llu,\"ops\":%llu,\"seconds\":%.9g,\"background_seconds\":%.9g,",
         Quoted(kEngineName).c_str(), Quoted(workload).c_str(), repeat, (unsigned long long)entries, (unsigned long long)ops, seconds,
         background);
  printf("\"hits\":%llu,\"want\":%llu,\"cpu_seconds\":%.9g", (unsigned long long)hits, (unsigned long long)want, cpu);
  const char* before = ",\"more\":{";
  for (const auto& [name, v] : more) {
    printf("%s%s:%.9g", before, Quoted(name).c_str(), v);
    before = ",";
  }
  printf("%s%s}\n", more.empty() ? "" : "}", error.empty() ? "" : (",\"error\":" + Quoted(error)).c_str());
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "version") == 0) {
    printf("%s\n", EngineVersion().c_str());
    return 0;
  }
  if (argc != 7) {
    fprintf(stderr, "usage: %s WORKLOAD DIR NUM READS SEED REPEAT\n", argv[0]);
    return 2;
  }
  Run r;
  r.workload = argv[1], r.dir = argv[2];
  r.num = r.entries = strtoull(argv[3], nullptr, 10), r.reads = strtoull(argv[4], nullptr, 10);
  r.seed = strtoull(argv[5], nullptr, 10), r.repeat = atoi(argv[6]);
  std::string error;
  try {
    r.Go();
  } catch (const std::exception& e) {
    error = e.what();
    if (error.empty()) error = "failed";
  }
  r.Print(error);
  return 0;
}
