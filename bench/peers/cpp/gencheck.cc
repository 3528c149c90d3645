// Prints what the generators give, for the test that compares them with the
// originals: gencheck N SEED VALUEBYTES
//
// One line each: N keys in the order of the permutation with a hash (FNV-1a) of
// their value; then N draws of a random number below 95; then N of a
// Zipf, and N of it when it has grown to twice the size.
#include <cstdio>
#include <cstdlib>

#include "gen.h"

static uint64_t Hash(std::string_view bytes) {
  uint64_t h = 14695981039346656037u;
  for (unsigned char c : bytes) h = (h ^ c) * 1099511628211u;
  return h;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const uint64_t n = strtoull(argv[1], nullptr, 10), seed = strtoull(argv[2], nullptr, 10);
  gen::Perm perm(n, seed);
  gen::Values values(atoi(argv[3]), 0.5, seed);
  std::string key;
  for (uint64_t i = 0; i < n; i++) {
    const uint64_t k = perm.At(i);
    gen::Key(&key, k);
    printf("%s %016llx\n", key.c_str(), (unsigned long long)Hash(values.At(k)));
  }
  gen::Rand rng(seed, 77);
  for (uint64_t i = 0; i < n; i++) printf("%llu\n", (unsigned long long)rng.Uint64N(95));
  gen::Zipf zipf(&rng, n, 0.99);
  for (uint64_t i = 0; i < n; i++) printf("%llu\n", (unsigned long long)zipf.NextScrambled());
  zipf.Grow(2 * n);
  for (uint64_t i = 0; i < n; i++) printf("%llu\n", (unsigned long long)zipf.NextLatest());
  return 0;
}
