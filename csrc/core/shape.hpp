// Up to four axes, row-major.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>

namespace sentei {

struct Shape {
  static constexpr int kMaxRank = 4;
  std::array<std::int64_t, kMaxRank> dims{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> list) {
    for (std::int64_t d : list) dims[static_cast<std::size_t>(rank++)] = d;
  }

  std::int64_t operator[](int axis) const { return dims[static_cast<std::size_t>(axis)]; }
  std::int64_t& operator[](int axis) { return dims[static_cast<std::size_t>(axis)]; }
  std::int64_t back() const { return rank ? (*this)[rank - 1] : 1; }
  std::int64_t size() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= (*this)[i];
    return n;
  }
  // Product of all axes but the last: rows of a (rows, channels) matrix.
  std::int64_t rows() const { return back() ? size() / back() : 0; }
  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int i = 0; i < rank; ++i)
      if ((*this)[i] != other[i]) return false;
    return true;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Shape& s) {
  out << '(';
  for (int i = 0; i < s.rank; ++i) out << (i ? ", " : "") << s[i];
  return out << (s.rank == 1 ? ",)" : ")");
}

}  // namespace sentei
