// The generators of package bench/gen in C++, number for number, so that the
// engines written in C++ are fed with the same bytes in the same order. A test
// of bench/peers compares the two.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gen {

// Mix spreads x over all 64 bits: the finaliser of SplitMix64 (Steele, Lea and
// Flood, 2014).
inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// Rand is Go's math/rand/v2 over its PCG: PCG-DXSM with 128 bits of state
// (O'Neill, 2014; numpy's variant with the full multiplier).
class Rand {
 public:
  Rand(uint64_t seed1, uint64_t seed2) : state_((Wide(seed1) << 64) | seed2) {}

  uint64_t Uint64() {
    const Wide mul = (Wide(2549297995355413924) << 64) | 4865540595714422341;
    const Wide inc = (Wide(6364136223846793005) << 64) | 1442695040888963407;
    state_ = state_ * mul + inc;
    uint64_t hi = uint64_t(state_ >> 64), lo = uint64_t(state_);
    hi ^= hi >> 32;
    hi *= 0xda942042e4dd58b5;
    hi ^= hi >> 48;
    return hi * (lo | 1);
  }

  // Uint64N draws evenly from [0, n): Lemire's method, as Go does it.
  uint64_t Uint64N(uint64_t n) {
    if ((n & (n - 1)) == 0) return Uint64() & (n - 1);
    Wide product = Wide(Uint64()) * n;
    if (uint64_t(product) < n) {
      const uint64_t least = -n % n;
      while (uint64_t(product) < least) product = Wide(Uint64()) * n;
    }
    return uint64_t(product >> 64);
  }

  // Float64 draws from [0, 1).
  double Float64() { return double(Uint64() << 11 >> 11) / double(uint64_t(1) << 53); }

 private:
  using Wide = unsigned __int128;
  Wide state_;
};

// Perm is a permutation of [0, n) that is computed and not stored; see perm.go.
class Perm {
 public:
  Perm(uint64_t n, uint64_t seed) : n_(n) {
    int width = 2;
    while (width < 64 && (std::max<uint64_t>(n, 1) - 1) >> width != 0) width++;
    mask_ = width == 64 ? ~uint64_t(0) : (uint64_t(1) << width) - 1;
    shift_ = (width + 1) / 2;
    add1_ = Mix(seed), add2_ = Mix(seed + 1);
    mul1_ = Mix(seed + 2) | 1, mul2_ = Mix(seed + 3) | 1;
  }

  // At returns the i-th number of the order. i must be below n.
  uint64_t At(uint64_t i) const {
    do {
      i = ((i + add1_) & mask_) * mul1_ & mask_;
      i ^= i >> shift_;
      i = ((i + add2_) & mask_) * mul2_ & mask_;
      i ^= i >> shift_;
      i = i * mul1_ & mask_;
      i ^= i >> shift_;
    } while (i >= n_);
    return i;
  }

 private:
  uint64_t n_, mask_, add1_, add2_, mul1_, mul2_;
  int shift_;
};

// The length of every key.
constexpr int kKeyBytes = 16;

// Key prints i in decimal digits with zeros in front. The result is valid until
// the buffer changes.
inline std::string_view Key(std::string* buffer, uint64_t i) {
  buffer->assign(kKeyBytes, '0');
  for (int at = kKeyBytes - 1; i > 0 && at >= 0; at--, i /= 10) (*buffer)[at] = char('0' + i % 10);
  return *buffer;
}

// Values hands out values that compress to a given part of their size; see
// value.go.
class Values {
 public:
  Values(int size, double ratio, uint64_t seed) : size_(size) {
    const int pieces = std::max(1, (size + 99) / 100);
    const int piece = std::max(1, (size + pieces - 1) / pieces);
    stride_ = size_t(pieces) * piece;
    Rand rng(seed, 0x76616c756573);
    const int raw = std::max(1, std::min(piece, int(piece * ratio)));
    std::string random(raw, ' ');
    while (text_.size() < size_t(1 << 20) + size) {
      for (char& c : random) c = char(' ' + rng.Uint64N(95));
      for (int have = 0; have < piece;) {
        const int n = std::min(raw, piece - have);
        text_.append(random, 0, n);
        have += n;
      }
    }
    slots_ = (text_.size() - size) / stride_ + 1;
  }

  // At returns the value of number i.
  std::string_view At(uint64_t i) const { return {text_.data() + i % slots_ * stride_, size_t(size_)}; }

 private:
  std::string text_;
  int size_;
  size_t stride_;
  uint64_t slots_;
};

// Zipf draws from [0, n) in proportion to 1/(k+1)^theta; see zipf.go. The last
// bit of pow may differ between languages, so a rare number may, too.
class Zipf {
 public:
  Zipf(Rand* rng, uint64_t n, double theta) : rng_(rng), theta_(theta), half_(std::pow(0.5, theta)), alpha_(1 / (1 - theta)) {
    Grow(std::max<uint64_t>(n, 1));
  }

  // Grow raises n, in time proportional to the difference.
  void Grow(uint64_t n) {
    if (n <= n_) return;
    for (uint64_t i = n_ + 1; i <= n; i++) zeta_ += std::pow(1 / double(i), theta_);
    n_ = n;
    eta_ = (1 - std::pow(2 / double(n_), 1 - theta_)) / (1 - (1 + half_) / zeta_);
  }

  uint64_t Next() {
    const double u = rng_->Float64(), uz = u * zeta_;
    if (uz < 1 || n_ == 1) return 0;
    if (uz < 1 + half_ || n_ == 2) return 1;
    return std::min(n_ - 1, uint64_t(double(n_) * std::pow(eta_ * u - eta_ + 1, alpha_)));
  }

  // NextScrambled scatters the frequent numbers over [0, n).
  uint64_t NextScrambled() { return Mix(Next()) % n_; }

  // NextLatest draws with the highest numbers the most frequent.
  uint64_t NextLatest() { return n_ - 1 - Next(); }

 private:
  Rand* rng_;
  uint64_t n_ = 0;
  double theta_, half_, zeta_ = 0, alpha_, eta_ = 0;
};

}  // namespace gen
