#include "object/custodian.h"

#include <gtest/gtest.h>

namespace eagleray {
namespace {

const ProcId kOwner{2}, kBorrower{3}, kOther{4}, kWriter{5};

ObjectId id(uint32_t n) { return make_object_id(make_task_id(kOwner, n, JobId{1}), 1); }

class CustodianTest : public testing::Test {
 protected:
  CustodianTest() { custodian_.set_self(ProcId{1ull << 32}); }
  static Bequest inline_value(uint32_t n, std::vector<NestedRef> nested = {}) {
    return {id(n), Value{ValueKind::kInline, Payload::copy_of("v"), {}, std::move(nested)}};
  }
  static Bequest stored_value(uint32_t n, uint64_t offset) {
    return {id(n), Value{ValueKind::kStored, {}, {SegmentId{7}, offset, 64, kWriter}, {}}};
  }
  static CustodyClaim holds(std::vector<uint32_t> objects) {
    CustodyClaim claim;
    claim.owner = kOwner;
    for (uint32_t n : objects) claim.held.push_back({id(n), 1, {}});
    return claim;
  }
  void release(ProcId from, uint32_t n) {
    custodian_.release(from, {kOwner, {Release{id(n), 1}}}, out_);
  }
  ValueKind kind_for(ProcId from, uint32_t n) {
    Custodian::Out out;
    custodian_.want(from, {kOwner, {id(n)}}, out);
    return std::get<CustodyIs>(out.messages.at(0).second).bequest.value.kind;
  }
  void TearDown() override { custodian_.check_invariants(); }

  Custodian custodian_;
  Custodian::Out out_;
};

TEST_F(CustodianTest, gives_what_was_left_until_the_last_borrower_lets_go) {
  custodian_.open(kOwner, {inline_value(1)}, {kBorrower}, out_);
  custodian_.claim(kBorrower, holds({1}), out_);
  EXPECT_EQ(kind_for(kBorrower, 1), ValueKind::kInline);
  release(kBorrower, 1);
  EXPECT_EQ(custodian_.estates(), 0u);
  EXPECT_EQ(kind_for(kBorrower, 1), ValueKind::kNone);
}

TEST_F(CustodianTest, frees_nothing_before_all_have_claimed) {
  custodian_.open(kOwner, {stored_value(1, 0)}, {kBorrower, kOther}, out_);
  custodian_.claim(kOther, holds({}), out_);
  EXPECT_TRUE(out_.freed.empty());
  custodian_.claim(kBorrower, holds({1}), out_);
  EXPECT_TRUE(out_.freed.empty());
  release(kBorrower, 1);
  EXPECT_EQ(out_.freed.size(), 1u);
}

TEST_F(CustodianTest, what_nobody_claims_is_freed) {
  custodian_.open(kOwner, {stored_value(1, 0), stored_value(2, 64)}, {kBorrower}, out_);
  EXPECT_EQ(out_.taken.size(), 2u);
  custodian_.claim(kBorrower, holds({2}), out_);
  ASSERT_EQ(out_.freed.size(), 1u);
  EXPECT_EQ(out_.freed[0].offset, 0u);
  release(kBorrower, 2);
}

TEST_F(CustodianTest, a_borrower_that_knows_where_it_lies_keeps_it_alive) {
  custodian_.open(kOwner, {}, {kBorrower, kWriter}, out_);
  CustodyClaim writer = holds({});
  writer.written = {{SegmentId{7}, 0, 64, kWriter}, {SegmentId{7}, 64, 64, kWriter}};
  custodian_.claim(kWriter, writer, out_);
  CustodyClaim borrower = holds({1});
  borrower.held[0].location = {SegmentId{7}, 0, 64, kWriter};
  custodian_.claim(kBorrower, borrower, out_);
  ASSERT_EQ(out_.unclaimed.size(), 1u) << "the other is nobody's";
  EXPECT_EQ(out_.unclaimed[0].second.offset, 64u);
  release(kBorrower, 1);
  EXPECT_EQ(out_.freed.size(), 1u);
}

TEST_F(CustodianTest, a_dead_borrower_lets_go) {
  custodian_.open(kOwner, {stored_value(1, 0)}, {kBorrower}, out_);
  custodian_.claim(kBorrower, holds({1}), out_);
  custodian_.client_gone(kBorrower, out_);
  EXPECT_EQ(out_.freed.size(), 1u);
}

TEST_F(CustodianTest, a_peer_that_dies_instead_of_claiming_is_not_awaited) {
  custodian_.open(kOwner, {stored_value(1, 0)}, {kBorrower}, out_);
  custodian_.client_gone(kBorrower, out_);
  EXPECT_EQ(custodian_.estates(), 0u);
}

TEST_F(CustodianTest, an_object_holds_what_it_refers_to) {
  const ProcId living{9};
  const ObjectId theirs = make_object_id(make_task_id(living, 1, JobId{1}), 1);
  const auto kept = custodian_.open(
      kOwner, {inline_value(1, {{id(2), kOwner}, {theirs, living}}), inline_value(2)}, {kBorrower},
      out_);
  EXPECT_EQ(kept.at(living), std::vector<ObjectId>{theirs});
  custodian_.claim(kBorrower, holds({1}), out_);
  EXPECT_EQ(kind_for(kBorrower, 2), ValueKind::kInline);
  release(kBorrower, 1);
  EXPECT_EQ(custodian_.estates(), 0u);
  const auto& [to, message] = out_.messages.back();
  EXPECT_EQ(to, living);
  EXPECT_EQ(std::get<CustodyEnded>(message).objects, std::vector<ObjectId>{theirs});
}

TEST_F(CustodianTest, an_addition_waits_for_its_borrower_s_claim) {
  custodian_.open(kOwner, {inline_value(1)}, {kBorrower, kOther}, out_);
  custodian_.add(kOther, {RequestId{5}, kOwner, id(1), kBorrower}, out_);
  EXPECT_TRUE(out_.messages.empty());
  custodian_.claim(kBorrower, holds({}), out_);
  EXPECT_EQ(std::get<CustodyLent>(out_.messages.at(0).second).lender, kOther);
  EXPECT_EQ(std::get<CustodyAdded>(out_.messages.at(1).second).request, RequestId{5});
  custodian_.claim(kOther, holds({}), out_);
  EXPECT_EQ(kind_for(kBorrower, 1), ValueKind::kInline);
  release(kBorrower, 1);
}

// All that a process without a link to the owner holds is what the custodian lent it itself.
TEST_F(CustodianTest, a_claim_by_a_stranger_counts_for_nothing) {
  custodian_.open(kOwner, {inline_value(1)}, {kOther}, out_);
  custodian_.claim(kOther, holds({1}), out_);
  custodian_.add(kOther, {RequestId{5}, kOwner, id(1), kBorrower}, out_);
  EXPECT_FALSE(custodian_.claim(kBorrower, holds({1}), out_));
  release(kOther, 1);
  release(kBorrower, 1);
  EXPECT_EQ(custodian_.estates(), 0u);
}

TEST_F(CustodianTest, a_second_claim_counts_for_nothing) {
  custodian_.open(kOwner, {inline_value(1)}, {kBorrower}, out_);
  EXPECT_TRUE(custodian_.claim(kBorrower, holds({1}), out_));
  EXPECT_FALSE(custodian_.claim(kBorrower, holds({1}), out_));
  release(kBorrower, 1);
  EXPECT_EQ(custodian_.estates(), 0u);
}

}  // namespace
}  // namespace eagleray
