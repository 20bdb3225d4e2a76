// RecordStore: control's durable records in one SQLite database. It knows tables, keys and bytes,
// nothing of what they mean. One thread.
//
// A commit is in the kernel's hands when it returns (write-ahead log), so it survives the death of
// this process; with Sync::kDisk it also survives a loss of power, at the price of one fsync.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace eagleray {

class RecordStore {
 public:
  enum class Sync : uint8_t { kKernel, kDisk };

  struct Write {
    int64_t table = 0;
    std::string key;
    std::string value;
    bool erase = false;
  };

  // Creates the file (mode 0600) if it is missing. kCorrupt: it is no database of ours.
  static Result<std::unique_ptr<RecordStore>> open(const std::string& path, Sync sync);
  ~RecordStore();
  RecordStore(const RecordStore&) = delete;
  RecordStore& operator=(const RecordStore&) = delete;

  // All values of tables from 0 on, ordered by table and key.
  Result<std::vector<std::string>> read_all();
  // One transaction: all of it or, after an error (disk full, ...), nothing.
  Result<Ok> commit(const std::vector<Write>& writes);

 private:
  explicit RecordStore(sqlite3* database) : database_(database) {}
  Result<Ok> prepare();
  Error failed(const char* what) const;

  sqlite3* database_;
  sqlite3_stmt *begin_ = nullptr, *put_ = nullptr, *erase_ = nullptr, *commit_ = nullptr,
               *rollback_ = nullptr;
};

}  // namespace eagleray
