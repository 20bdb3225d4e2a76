// TaskHistory: what a process remembers of the tasks that it has submitted, in files of the session
// that outlive it, however it ends. Part of ClientShell, under its lock. The machine puts rows
// into mapped memory; names are written once. What costs is memory that was never touched before:
// so a file of some 8,000 rows, when it is full and control's HistoryKeeper has read it, is used
// again.
//
// A file is PROC-NUMBER.tasks (message/task_rows.h). As long as the process has it mapped, it
// is locked (flock); the keeper takes what is full, and removes what nobody has locked. PROC.names
// has a JSON line for each number that rows mention, and for what errors say.
#pragma once

#include <deque>
#include <string>

#include "base/ids.h"
#include "base/resources.h"
#include "client/client_machine.h"
#include "io/fd.h"
#include "message/task_rows.h"

namespace eagleray {

class TaskHistory {
 public:
  // Nothing is written before the first row.
  void begin(std::string directory, ProcId proc, uint32_t pid);
  // Where the machine puts rows.
  TaskRowWriter& writer() { return writer_; }
  // A row that the writer refused.
  void append(const TaskRow& row, const ClientMachine& machine);
  void note_error(const Effects::ErrorText& error);  // behind its row
  void end();                                        // nothing is written any more

 private:
  struct File {
    Mapping memory;
    uint64_t number = 0;  // in its name
    TaskFileHeader& header() const { return *reinterpret_cast<TaskFileHeader*>(memory.data()); }
  };
  TaskFileHeader& header() { return file_.header(); }
  bool next_file(JobId job);
  void hand_over();  // file_, which is full
  bool use_again();  // makes file_ one that was taken
  bool make_file();  // makes file_ a new one
  std::string path(uint64_t number) const;
  void name(const TaskRow& row, const ClientMachine& machine);
  void write_line(const std::string& text);

  std::string directory_;
  ProcId proc_;
  uint32_t pid_ = 0;
  File file_;
  std::deque<File> full_;  // the oldest first
  Fd names_;
  TaskRowWriter writer_;    // into file_
  uint64_t files_ = 0;      // made
  uint64_t sequences_ = 0;  // begun
  uint64_t lost_ = 0;
  uint32_t skip_ = 0;  // rows to be lost before a file is tried again
  uint64_t error_bytes_ = 0;
};

// "%016x" of it, as in the names of its files.
std::string file_prefix(ProcId proc);

}  // namespace eagleray
