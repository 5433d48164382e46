#include "imagesvc/catalog/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace berth {
namespace {

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sqlite>> Sqlite::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  std::unique_ptr<Sqlite> db(new Sqlite(raw));
  if (code != SQLITE_OK) return db->Error(code, "opening the catalog");
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, 2000);
  return db;
}

Sqlite::~Sqlite() { sqlite3_close_v2(raw_); }

absl::Status Sqlite::Error(int code, absl::string_view what) const {
  const char* text = raw_ != nullptr ? sqlite3_errmsg(raw_) : sqlite3_errstr(code);
  return absl::Status(CodeOf(code), absl::StrCat(what, ": ", text));
}

absl::Status Sqlite::Execute(const char* sql) {
  const int code = sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, "catalog");
}

Sqlite::Statement Sqlite::Prepare(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(raw_, sql, -1, &raw, nullptr);
  return Statement(*this, code == SQLITE_OK ? absl::OkStatus() : Error(code, "catalog"), raw);
}

Sqlite::Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      status_(std::move(other.status_)),
      raw_(std::exchange(other.raw_, nullptr)),
      bound_(other.bound_) {}

Sqlite::Statement::~Statement() { sqlite3_finalize(raw_); }

Sqlite::Statement& Sqlite::Statement::Bind(int64_t value) {
  if (!status_.ok()) return *this;
  const int code = sqlite3_bind_int64(raw_, ++bound_, value);
  if (code != SQLITE_OK) status_ = db_->Error(code, "catalog");
  return *this;
}

Sqlite::Statement& Sqlite::Statement::Bind(absl::string_view text) {
  if (!status_.ok()) return *this;
  const int code = sqlite3_bind_text64(raw_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) status_ = db_->Error(code, "catalog");
  return *this;
}

Sqlite::Statement& Sqlite::Statement::BindBlob(absl::string_view bytes) {
  if (!status_.ok()) return *this;
  const int code =
      sqlite3_bind_blob64(raw_, ++bound_, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) status_ = db_->Error(code, "catalog");
  return *this;
}

absl::StatusOr<bool> Sqlite::Statement::Step() {
  if (!status_.ok()) return status_;
  const int code = sqlite3_step(raw_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return status_ = db_->Error(code, "catalog");
}

absl::Status Sqlite::Statement::Run() {
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

int64_t Sqlite::Statement::Int(int column) const { return sqlite3_column_int64(raw_, column); }

std::string Sqlite::Statement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(raw_, column);
  const int size = sqlite3_column_bytes(raw_, column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

Sqlite::Transaction::~Transaction() {
  // It fails only when SQLite has rolled back already, after an I/O error or a full disk.
  if (open_) sqlite3_exec(db_.raw_, "ROLLBACK", nullptr, nullptr, nullptr);
}

absl::Status Sqlite::Transaction::Commit() {
  RETURN_IF_ERROR(status_);
  RETURN_IF_ERROR(db_.Execute("COMMIT"));
  open_ = false;
  return absl::OkStatus();
}

}  // namespace berth
