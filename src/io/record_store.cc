#include "io/record_store.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "io/fd.h"

namespace eagleray {
namespace {

constexpr int kFormat = 1;  // `user_version` of our files

}  // namespace

Result<std::unique_ptr<RecordStore>> RecordStore::open(const std::string& path, Sync sync) {
  {
    // SQLite gives its files the database's mode.
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return system_error("open " + path, errno);
  }
  sqlite3* database = nullptr;
  const int opened = ::sqlite3_open_v2(
      path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
      nullptr);
  std::unique_ptr<RecordStore> store(new RecordStore(database));
  if (opened != SQLITE_OK) return store->failed("open the database");
  const char* pragmas =
      sync == Sync::kDisk
          ? "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
          : "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF";
  if (::sqlite3_exec(database, pragmas, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return store->failed("open the database");
  }
  Result<Ok> prepared = store->prepare();
  if (!prepared.ok()) return prepared.error();
  return store;
}

RecordStore::~RecordStore() {
  for (sqlite3_stmt* each : {begin_, put_, erase_, commit_, rollback_}) ::sqlite3_finalize(each);
  ::sqlite3_close(database_);
}

Error RecordStore::failed(const char* what) const {
  const int code = ::sqlite3_errcode(database_);
  const bool foreign = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  const char* file = ::sqlite3_db_filename(database_, "main");
  return Error{foreign               ? ErrorCode::kCorrupt
               : code == SQLITE_FULL ? ErrorCode::kDiskFull
                                     : ErrorCode::kSystem,
               std::string("could not ") + what + " " + (file ? file : "") + ": " +
                   ::sqlite3_errmsg(database_)};
}

Result<Ok> RecordStore::prepare() {
  int format = 0;
  const auto read_format = [](void* into, int, char** columns, char**) {
    *static_cast<int*>(into) = std::atoi(columns[0]);
    return 0;
  };
  if (::sqlite3_exec(database_, "PRAGMA user_version", read_format, &format, nullptr) !=
      SQLITE_OK) {
    return failed("read");
  }
  if (format != 0 && format != kFormat) {
    return Error{ErrorCode::kCorrupt, "the database is of format " + std::to_string(format) +
                                          ", not " + std::to_string(kFormat) +
                                          ": another version of eagleray wrote it"};
  }
  // Only a new one is written to: what is there can be read on a full disk too.
  const std::string create =
      "CREATE TABLE IF NOT EXISTS records (kind INTEGER, key BLOB, value BLOB NOT NULL,"
      " PRIMARY KEY (kind, key)) WITHOUT ROWID; PRAGMA user_version=" +
      std::to_string(kFormat);
  if (format == 0 &&
      ::sqlite3_exec(database_, create.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return failed("write");
  }
  struct Text {
    const char* sql;
    sqlite3_stmt** into;
  };
  for (const Text& each : {Text{"BEGIN IMMEDIATE", &begin_},
                           Text{"INSERT OR REPLACE INTO records VALUES (?, ?, ?)", &put_},
                           Text{"DELETE FROM records WHERE kind = ? AND key = ?", &erase_},
                           Text{"COMMIT", &commit_}, Text{"ROLLBACK", &rollback_}}) {
    if (::sqlite3_prepare_v3(database_, each.sql, -1, SQLITE_PREPARE_PERSISTENT, each.into,
                             nullptr) != SQLITE_OK) {
      return failed("prepare statements for");
    }
  }
  return Ok{};
}

Result<std::vector<std::string>> RecordStore::read_all() {
  sqlite3_stmt* select = nullptr;
  if (::sqlite3_prepare_v2(database_,
                           "SELECT value FROM records WHERE kind >= 0 ORDER BY kind, key", -1,
                           &select, nullptr) != SQLITE_OK) {
    return failed("read");
  }
  std::vector<std::string> values;
  int step = ::sqlite3_step(select);
  for (; step == SQLITE_ROW; step = ::sqlite3_step(select)) {
    const auto* bytes = static_cast<const char*>(::sqlite3_column_blob(select, 0));
    const auto size = static_cast<size_t>(::sqlite3_column_bytes(select, 0));
    values.emplace_back(bytes ? bytes : "", size);
  }
  ::sqlite3_finalize(select);
  if (step != SQLITE_DONE) return failed("read");
  return values;
}

Result<Ok> RecordStore::commit(const std::vector<Write>& writes) {
  const auto run = [](sqlite3_stmt* statement) {
    const int step = ::sqlite3_step(statement);
    ::sqlite3_reset(statement);
    return step == SQLITE_DONE;
  };
  bool good = run(begin_);
  for (size_t i = 0; good && i < writes.size(); ++i) {
    const Write& write = writes[i];
    sqlite3_stmt* statement = write.erase ? erase_ : put_;
    ::sqlite3_bind_int64(statement, 1, write.table);
    ::sqlite3_bind_blob64(statement, 2, write.key.data(), write.key.size(), SQLITE_STATIC);
    if (!write.erase) {
      ::sqlite3_bind_blob64(statement, 3, write.value.data(), write.value.size(), SQLITE_STATIC);
    }
    good = run(statement);
  }
  good = good && run(commit_);
  if (good) return Ok{};
  const Error error = failed("write");
  if (::sqlite3_get_autocommit(database_) == 0) run(rollback_);
  return error;
}

}  // namespace eagleray
