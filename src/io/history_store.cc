#include "io/history_store.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "io/fd.h"

namespace eagleray {
namespace {

constexpr int kBusyMs = 5'000;  // a reader has the file that long at most

}  // namespace

class HistoryStore::Statement {
 public:
  Statement(sqlite3* database, const char* sql) {
    if (::sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK) {
      statement_ = nullptr;
    }
  }
  ~Statement() { ::sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  void bind(int at, int64_t value) { ::sqlite3_bind_int64(statement_, at, value); }
  void bind(int at, std::string_view bytes) {
    ::sqlite3_bind_blob64(statement_, at, bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  bool row() { return ::sqlite3_step(statement_) == SQLITE_ROW; }
  bool done() { return statement_ && ::sqlite3_step(statement_) == SQLITE_DONE; }
  void reset() { ::sqlite3_reset(statement_); }
  int64_t number(int at) { return ::sqlite3_column_int64(statement_, at); }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

HistoryStore::HistoryStore(sqlite3* database, uint64_t bytes_max)
    : database_(database), bytes_max_(bytes_max) {}

Result<std::unique_ptr<HistoryStore>> HistoryStore::open(const std::string& path,
                                                         uint64_t bytes_max) {
  {
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return Error{ErrorCode::kSystem, "could not open " + path};
  }
  sqlite3* database = nullptr;
  const int opened = ::sqlite3_open_v2(
      path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
      nullptr);
  std::unique_ptr<HistoryStore> store(new HistoryStore(database, bytes_max));
  if (opened != SQLITE_OK) return store->failed();
  ::sqlite3_busy_timeout(database, kBusyMs);
  const Result<Ok> prepared = store->prepare();
  if (!prepared.ok()) return prepared.error();
  return store;
}

HistoryStore::~HistoryStore() {
  put_block_.reset();
  ::sqlite3_close(database_);
}

Error HistoryStore::failed() const {
  const int code = ::sqlite3_errcode(database_);
  return Error{code == SQLITE_FULL ? ErrorCode::kDiskFull : ErrorCode::kSystem,
               std::string("the history's database: ") + ::sqlite3_errmsg(database_)};
}

Result<Ok> HistoryStore::run(const char* sql) {
  if (::sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failed();
  return Ok{};
}

// A rollback journal and large pages: a new block is written once, without check sums. The journal
// keeps its pages: new ones cost more than what is written to them.
Result<Ok> HistoryStore::prepare() {
  const Result<Ok> made = run(
      "PRAGMA page_size=32768; PRAGMA journal_mode=PERSIST; PRAGMA synchronous=OFF;"
      "BEGIN IMMEDIATE;"
      "CREATE TABLE IF NOT EXISTS blocks (id INTEGER PRIMARY KEY, proc INTEGER, sequence INTEGER,"
      " rows INTEGER, last_us INTEGER, data BLOB, UNIQUE (proc, sequence));"
      "CREATE TABLE IF NOT EXISTS names (proc INTEGER PRIMARY KEY, text BLOB);"
      "CREATE TABLE IF NOT EXISTS dropped (rows INTEGER, last_us INTEGER);"
      "CREATE TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY, proc INTEGER, sequence INTEGER);"
      "INSERT INTO dropped SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM dropped);"
      "COMMIT");
  if (!made.ok()) return made;
  Statement sum(database_, "SELECT coalesce(sum(length(data)), 0) FROM blocks");
  if (!sum.row()) return failed();
  bytes_ = static_cast<uint64_t>(sum.number(0));
  return Ok{};
}

Result<Ok> HistoryStore::put(const Block& block) {
  if (!put_block_) {
    put_block_ = std::make_unique<Statement>(
        database_,
        "INSERT OR IGNORE INTO blocks (proc, sequence, rows, last_us, data)"
        " VALUES (?, ?, ?, ?, ?)");
  }
  Statement& insert = *put_block_;
  insert.bind(1, static_cast<int64_t>(block.proc));
  insert.bind(2, static_cast<int64_t>(block.sequence));
  insert.bind(3, block.rows);
  insert.bind(4, block.last_us);
  insert.bind(5, block.bytes);
  const bool inserted = insert.done();
  insert.reset();
  if (!inserted) return kept_or_undone(failed());
  if (::sqlite3_changes(database_) > 0) bytes_ += block.bytes.size();
  return Ok{};
}

Result<Ok> HistoryStore::put(const Names& names) {
  Statement insert(database_, "INSERT OR REPLACE INTO names VALUES (?, ?)");
  insert.bind(1, static_cast<int64_t>(names.proc));
  insert.bind(2, names.text);
  return insert.done() ? Result<Ok>(Ok{}) : kept_or_undone(failed());
}

Result<Ok> HistoryStore::drop_oldest() {
  while (bytes_ > bytes_max_) {
    int64_t id = 0, rows = 0, last_us = 0, bytes = 0;
    {
      Statement oldest(database_,
                       "SELECT id, rows, last_us, length(data) FROM blocks ORDER BY id LIMIT 1");
      if (!oldest.row()) return failed();
      id = oldest.number(0);
      rows = oldest.number(1);
      last_us = oldest.number(2);
      bytes = oldest.number(3);
    }
    // Who has read its file a moment ago, and the database now, counts its rows once.
    Statement note(database_,
                   "INSERT INTO gone (proc, sequence)"
                   " SELECT proc, sequence FROM blocks WHERE id = ?");
    note.bind(1, id);
    Statement erase(database_, "DELETE FROM blocks WHERE id = ?");
    erase.bind(1, id);
    Statement say(database_, "UPDATE dropped SET rows = rows + ?, last_us = max(last_us, ?)");
    say.bind(1, rows);
    say.bind(2, last_us);
    if (!note.done() || !erase.done() || !say.done()) return failed();
    bytes_ -= static_cast<uint64_t>(bytes);
  }
  // 1,000: far more than are dropped during one look.
  return run(
      "DELETE FROM gone WHERE id <= (SELECT max(id) FROM gone) - 1000;"
      "DELETE FROM names WHERE proc NOT IN (SELECT proc FROM blocks)");
}

Result<Ok> HistoryStore::begin() {
  bytes_before_ = bytes_;
  return run("BEGIN IMMEDIATE");
}

Result<Ok> HistoryStore::commit() {
  Result<Ok> good = bytes_ > bytes_max_ ? drop_oldest() : Result<Ok>(Ok{});
  if (good.ok()) good = run("COMMIT");
  return kept_or_undone(std::move(good));
}

Result<Ok> HistoryStore::kept_or_undone(Result<Ok> result) {
  if (result.ok()) return result;
  bytes_ = bytes_before_;
  if (::sqlite3_get_autocommit(database_) == 0) (void)run("ROLLBACK").ok();
  return result;
}

}  // namespace eagleray
