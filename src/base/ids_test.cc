#include "base/ids.h"

#include <gtest/gtest.h>

namespace eagleray {
namespace {

TEST(Ids, nest) {
  const ActorId actor = make_actor_id(ProcId{0x1234567890ull}, 7, JobId{42});
  const TaskId task = make_actor_task_id(ProcId{9}, 3, actor);
  const ObjectId object = make_object_id(task, 5);
  EXPECT_EQ(task_of(object), task);
  EXPECT_EQ(actor_of(task), actor);
  EXPECT_EQ(job_of(actor), JobId{42});
  EXPECT_EQ(index_of(object), 5u);
}

TEST(Ids, differ_by_process_and_counter) {
  const JobId job{1};
  EXPECT_NE(make_task_id(ProcId{1}, 1, job), make_task_id(ProcId{2}, 1, job));
  EXPECT_NE(make_task_id(ProcId{1}, 1, job), make_task_id(ProcId{1}, 2, job));
  EXPECT_NE(make_actor_id(ProcId{1ull << 30}, 1, job), make_actor_id(ProcId{2ull << 30}, 1, job));
}

TEST(Ids, hex_is_lower_case) { EXPECT_EQ(to_hex("\x01\xAB"), "01ab"); }

}  // namespace
}  // namespace eagleray
