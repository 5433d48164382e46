#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace berth {

// One SQLite connection, used by one thread at a time. Errors: RESOURCE_EXHAUSTED (disk full), DATA_LOSS (damaged
// file), UNAVAILABLE (locked by another process), INTERNAL.
class Sqlite {
 public:
  static absl::StatusOr<std::unique_ptr<Sqlite>> Open(const std::string& path);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  absl::Status Execute(const char* sql);

  // One statement: Bind in order, then Step until it says false.
  class Statement {
   public:
    Statement(Sqlite& db, absl::Status status, sqlite3_stmt* raw) : db_(&db), status_(std::move(status)), raw_(raw) {}
    Statement(Statement&& other) noexcept;
    ~Statement();

    Statement& Bind(int64_t value);
    Statement& Bind(uint64_t value) { return Bind(static_cast<int64_t>(value)); }
    Statement& Bind(absl::string_view text);
    Statement& BindBlob(absl::string_view bytes);
    absl::StatusOr<bool> Step();  // true: a row
    absl::Status Run();           // to the end

    int64_t Int(int column) const;
    std::string Text(int column) const;  // text or blob

   private:
    Sqlite* db_;
    absl::Status status_;  // the first error
    sqlite3_stmt* raw_;
    int bound_ = 0;
  };
  Statement Prepare(const char* sql);

  // BEGIN IMMEDIATE … COMMIT; rolled back unless Commit succeeded.
  class Transaction {
   public:
    explicit Transaction(Sqlite& db) : db_(db), status_(db.Execute("BEGIN IMMEDIATE")), open_(status_.ok()) {}
    ~Transaction();
    const absl::Status& status() const { return status_; }
    absl::Status Commit();

   private:
    Sqlite& db_;
    absl::Status status_;
    bool open_;
  };

 private:
  explicit Sqlite(sqlite3* raw) : raw_(raw) {}
  absl::Status Error(int code, absl::string_view what) const;

  sqlite3* raw_;
};

}  // namespace berth
