// The bugs that can be planted (base/planted.h), in words.
#pragma once

#include <array>

#include "base/planted.h"

namespace eagleray {

struct PlantedBug {
  Planted bug;
  const char* name;
  const char* where;  // file of src/
  const char* what;
};

inline constexpr std::array kPlantedBugs{
    PlantedBug{Planted::kForgetsWhatRan, "forgets_what_ran", "client/submitter.cc",
               "a task that ran when its worker died counts as not begun"},
    PlantedBug{Planted::kRunsOnceTaskAgain, "runs_once_task_again", "client/submitter.cc",
               "a task without retries runs again after its worker died"},
    PlantedBug{Planted::kReturnedStaysInFlight, "returned_stays_in_flight", "client/submitter.cc",
               "a task given back still counts as running on its lease"},
    PlantedBug{Planted::kRetireKeepsNested, "retire_keeps_nested", "client/submitter.cc",
               "a cancelled task keeps the references inside its arguments"},
    PlantedBug{Planted::kAskedNotLowered, "asked_not_lowered", "client/submitter.cc",
               "a lease that ends is not taken off what was asked for"},
    PlantedBug{Planted::kDroppedResultKeepsRoom, "dropped_result_keeps_room", "client/submitter.cc",
               "a stored result that nobody wants is not freed"},
    PlantedBug{Planted::kReaderNotTold, "reader_not_told", "client/submitter.cc",
               "a second attempt of a generator does not hear what has been read"},
    PlantedBug{Planted::kRepeatedItemStays, "repeated_item_stays", "client/submitter.cc",
               "an item that a second attempt of a generator repeats is not freed"},
    PlantedBug{Planted::kLentToTheDead, "lent_to_the_dead", "client/references.cc",
               "an object is lent to a process that has died"},
    PlantedBug{Planted::kTellsOneWhoWants, "tells_one_who_wants", "client/references.cc",
               "only the first of those who want an object hears that it is ready"},
    PlantedBug{Planted::kFreesWhatIsLent, "frees_what_is_lent", "client/references.cc",
               "an object ends although others borrow it"},
    PlantedBug{Planted::kCreditNotCounted, "credit_not_counted", "client/references.cc",
               "a second loan of the same object is not counted"},
    PlantedBug{Planted::kReleaseTakesAll, "release_takes_all", "client/references.cc",
               "giving one loan back ends all of that borrower"},
    PlantedBug{Planted::kDeadBorrowersStay, "dead_borrowers_stay", "client/references.cc",
               "what a dead process had borrowed stays lent"},
    PlantedBug{Planted::kWantsNotRepeated, "wants_not_repeated", "client/references.cc",
               "after the owner's death the custodian is not asked for the value"},
    PlantedBug{Planted::kSecondValueKeepsCredits, "second_value_keeps_credits",
               "client/references.cc", "references in a value that came twice are not given back"},
    PlantedBug{Planted::kCancelOfQueuedIsSilent, "cancel_of_queued_is_silent", "client/executor.cc",
               "a cancelled task that had not begun is not answered"},
    PlantedBug{Planted::kAnswerDoesNotWait, "answer_does_not_wait", "client/executor.cc",
               "an answer leaves before the owners of its references know the caller"},
    PlantedBug{Planted::kLostCallsReversed, "lost_calls_reversed", "client/actors.cc",
               "calls caught by an actor's death go again in reverse order"},
    PlantedBug{Planted::kCallRunsAgain, "call_runs_again", "client/actors.cc",
               "a call without retries that had begun runs again in the next life"},
    PlantedBug{Planted::kWordBeforeLoss, "word_before_loss", "client/actors.cc",
               "control's word of a restart is taken before the loss of the process"},
    PlantedBug{Planted::kCycleNotConfirmed, "cycle_not_confirmed", "client/waits.cc",
               "a cycle of waits is reported when it is found once"},
    PlantedBug{Planted::kSearchPassesOnce, "search_passes_once", "client/waits.cc",
               "a search passes a wait only in its first round"},
    PlantedBug{Planted::kBlockedCpuGivenTwice, "blocked_cpu_given_twice", "node/node_leases.cc",
               "the CPU of a task that waits is given back twice"},
    PlantedBug{Planted::kLeaseOfItself, "lease_of_itself", "node/node_leases.cc",
               "a worker gets a lease of itself"},
    PlantedBug{Planted::kOrphanDroppedEarly, "orphan_dropped_early", "node/node_segments.cc",
               "a dead writer's segment goes although objects of others are in it"},
    PlantedBug{Planted::kActorEndMentioned, "actor_end_mentioned", "node/node_control.cc",
               "the end of an actor is said once, not until it is acknowledged"},
    PlantedBug{Planted::kStopForgetsPending, "stop_forgets_pending", "node/node_control.cc",
               "an actor that is stopped before it was placed is placed"},
    PlantedBug{Planted::kPlacesTwice, "places_twice", "node/node_control.cc",
               "a repeated order places an actor a second time"},
    PlantedBug{Planted::kNothingSentAgain, "nothing_sent_again", "node/control_link.cc",
               "what control has not acknowledged is not sent again"},
    PlantedBug{Planted::kSubscriptionsForgotten, "subscriptions_forgotten", "node/control_link.cc",
               "subscriptions are not renewed at a restarted control"},
    PlantedBug{Planted::kAppliesTwice, "applies_twice", "control/control_machine.cc",
               "a numbered message is applied again when it is repeated"},
    PlantedBug{Planted::kAnswersBehindAck, "answers_behind_ack", "control/control_machine.cc",
               "the acknowledgement goes ahead of the answer"},
    PlantedBug{Planted::kNumberNotKept, "number_not_kept", "control/control_machine.cc",
               "the number of the last applied message is not recorded"},
    PlantedBug{Planted::kRestartNotKept, "restart_not_kept", "control/control_actors.cc",
               "an actor's restart is not recorded"},
    PlantedBug{Planted::kKilledNotRestored, "killed_not_restored", "control/control_machine.cc",
               "a restarted control forgets that an actor was killed"},
    PlantedBug{Planted::kSyncedSaysNothing, "synced_says_nothing", "control/control_machine.cc",
               "a restarted control does not repeat its orders"},
    PlantedBug{Planted::kRestartsTheKilled, "restarts_the_killed", "control/control_actors.cc",
               "an actor that was killed is restarted"},
    PlantedBug{Planted::kInnerNotHeld, "inner_not_held", "object/custodian.cc",
               "the custodian does not hold what a dead owner's objects refer to"},
    PlantedBug{Planted::kFreedNotSaid, "freed_not_said", "object/custodian.cc",
               "room of an object in custody is not freed"},
    PlantedBug{Planted::kKeptNotEnded, "kept_not_ended", "object/custodian.cc",
               "the custodian keeps what it had borrowed of the living"},
    PlantedBug{Planted::kAddsBeforeClaim, "adds_before_claim", "object/custodian.cc",
               "a borrower is added before its own claim has come"},
};

}  // namespace eagleray
