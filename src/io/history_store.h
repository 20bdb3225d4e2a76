// HistoryStore: the history's database (SQLite, session/history.db). Rows of tasks stand in blocks,
// as they come from the processes' files, a transaction for many: a row costs a few nanoseconds,
// and a reader filters a million of them in a tenth of a second. The oldest blocks are dropped
// beyond a size. Others read it while it is written; it is written by one thread of control.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct sqlite3;

namespace eagleray {

class HistoryStore {
 public:
  struct Block {
    uint64_t proc = 0;
    uint64_t sequence = 0;
    uint32_t rows = 0;
    int64_t last_us = 0;     // Unix time of the last row
    std::string_view bytes;  // TaskFileHeader and rows
  };
  struct Names {
    uint64_t proc = 0;
    std::string text;
  };
  static Result<std::unique_ptr<HistoryStore>> open(const std::string& path, uint64_t bytes_max);
  ~HistoryStore();
  HistoryStore(const HistoryStore&) = delete;
  HistoryStore& operator=(const HistoryStore&) = delete;

  // begin(), any number of put(), commit(): all of it is kept or, after an error of any of them,
  // nothing, and begin() may be tried again. A block that is there already is not kept twice.
  Result<Ok> begin();
  Result<Ok> put(const Block& block);
  Result<Ok> put(const Names& names);
  Result<Ok> commit();
  uint64_t bytes() const { return bytes_; }

 private:
  HistoryStore(sqlite3* database, uint64_t bytes_max);
  class Statement;
  Result<Ok> run(const char* sql);
  Result<Ok> prepare();
  Result<Ok> drop_oldest();
  Result<Ok> kept_or_undone(Result<Ok> result);
  Error failed() const;

  sqlite3* database_;
  std::unique_ptr<Statement> put_block_;
  const uint64_t bytes_max_;
  uint64_t bytes_ = 0;         // of all blocks
  uint64_t bytes_before_ = 0;  // at begin()
};

}  // namespace eagleray
