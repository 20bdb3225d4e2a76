// Names, groups, keys, nodes: what the client asks of control.
#include <cstring>

#include "common.h"

namespace eagleray::python {
namespace {

std::string group_state(GroupState state) {
  static constexpr const char* kNames[] = {"PENDING", "CREATED", "REMOVED", "INFEASIBLE"};
  return kNames[static_cast<size_t>(state)];
}

std::string create_group(Client& client, nb::list bundles, const std::string& strategy,
                         std::string name, bool detached, nb::list selectors,
                         const std::string& target) {
  GroupSpec spec;
  for (nb::handle bundle : bundles)
    spec.bundles.push_back(resources_of(nb::cast<nb::dict>(bundle)));
  spec.strategy = strategy == "SPREAD"          ? GroupStrategy::kSpread
                  : strategy == "STRICT_PACK"   ? GroupStrategy::kStrictPack
                  : strategy == "STRICT_SPREAD" ? GroupStrategy::kStrictSpread
                                                : GroupStrategy::kPack;
  spec.name = std::move(name);
  spec.detached = detached;
  for (nb::handle selector : selectors) spec.selectors.push_back(selector_of(selector));
  if (!target.empty()) spec.target = id_from_hex<NodeId>(target);
  {
    ClientShell::Access machine = client.core->access();
    spec.owner = machine->proc();
    spec.job = machine->job();
    const uint64_t unique = machine->next_request().value;
    std::memcpy(spec.group.bytes.data(), &unique, sizeof unique);
    std::memcpy(spec.group.bytes.data() + 8, &spec.owner.value, 6);
    std::memcpy(spec.group.bytes.data() + 14, &spec.job.value, 4);
  }
  const std::string hex = spec.group.hex();
  const Done done = ask_done(CreateGroup{std::move(spec)});
  if (done.error_code != 0) throw nb::value_error(done.message.c_str());
  return hex;
}

nb::list group_table(const std::string& group, std::string name) {
  QueryGroups query;
  if (!group.empty()) query.group = id_from_hex<PlacementGroupId>(group);
  query.name = std::move(name);
  static constexpr const char* kStrategies[] = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"};
  nb::list list;
  for (const GroupStatus& status : ask<GroupList>(std::move(query)).groups) {
    nb::dict row;
    row["group"] = status.spec.group.hex();
    row["name"] = status.spec.name;
    row["strategy"] = kStrategies[static_cast<size_t>(status.spec.strategy)];
    row["state"] = group_state(status.state);
    row["detached"] = status.spec.detached;
    row["why_never"] = status.why_never;
    nb::list bundles, nodes;
    for (const ResourceMap& bundle : status.spec.bundles) bundles.append(dict_of(bundle));
    for (const NodeId& node : status.nodes) nodes.append(node.hex());
    row["bundles"] = bundles;
    row["nodes"] = nodes;
    row["selectors"] = list_of(status.spec.selectors);
    list.append(row);
  }
  return list;
}

nb::list cluster(Client&) {
  nb::list list;
  for (const ClusterNode& node : ask<ClusterView>(QueryCluster{}).nodes) {
    nb::dict row;
    row["node_id"] = node.info.node.hex();
    row["index"] = node.info.index.value;
    row["address"] = node.info.address;
    row["host_name"] = node.info.host_name;
    nb::dict labels;
    for (const auto& [key, value] : node.info.labels) labels[key.c_str()] = value;
    row["labels"] = labels;
    row["alive"] = node.info.alive;
    row["total"] = dict_of(node.info.total);
    row["available"] = dict_of(node.available);
    list.append(row);
  }
  return list;
}

// Under Ray's names: of a group as a whole and of each of its bundles.
void add_in_group(ResourceMap& sum, const std::string& name, int64_t amount, size_t index,
                  const std::string& group) {
  if (amount == 0) return;
  sum[name + "_group_" + group] += amount;
  sum[name + "_group_" + std::to_string(index) + "_" + group] += amount;
}

// What all nodes and reserved bundles have in total, or have free.
nb::dict resources(Client&, bool available) {
  // Ray's, in ten-thousandths: what a bundle has of "bundle", and what each user takes of it.
  constexpr int64_t kOfBundle = 1000 * kResourceUnit, kOfUser = kResourceUnit / 1000;
  const auto view = ask<ClusterView>(QueryCluster{});
  ResourceMap sum;
  for (const ClusterNode& node : view.nodes) add(sum, available ? node.available : node.info.total);
  for (const ReservedGroup& reserved : view.groups) {
    const std::string group = reserved.group.hex();
    std::vector<ResourceMap> amounts = reserved.bundles;
    std::vector<int64_t> users(amounts.size());
    for (const BundleLoad& load : reserved.loads) {
      if (!available || load.index >= amounts.size()) continue;
      amounts[load.index] = load.free;
      users[load.index] = load.users;
    }
    for (size_t i = 0; i < amounts.size(); ++i) {
      for (const auto& [name, amount] : amounts[i]) add_in_group(sum, name, amount, i, group);
      add_in_group(sum, "bundle", kOfBundle - kOfUser * users[i], i, group);
    }
  }
  return dict_of(sum);
}

nb::dict node_status() {
  const NodeStatus status = ask<NodeStatus>(QueryNode{});
  nb::list demands, processes;
  for (const NodeDemand& demand : status.demands) {
    nb::dict row;
    row["resources"] = dict_of(demand.resources);
    row["count"] = demand.count;
    row["what"] = demand.what;
    row["reason"] = demand.reason;
    demands.append(row);
  }
  for (const NodeProcess& process : status.processes) {
    nb::dict row;
    row["pid"] = process.pid;
    row["kind"] = process.kind;
    row["what"] = process.what;
    row["job"] = process.job.value;
    row["proc"] = process.proc.value;
    row["actor"] = process.actor.is_zero() ? "" : process.actor.hex();
    row["started_us"] = process.started_us;
    processes.append(row);
  }
  nb::dict dict;
  dict["demands"] = demands;
  dict["processes"] = processes;
  dict["store_used"] = status.store_used;
  return dict;
}

}  // namespace

void bind_control(nb::class_<Client>& client) {
  client
      .def("find_actor",
           [](Client&, std::string name, std::string name_space) -> nb::object {
             FoundActor found = ask<FoundActor>(FindActor{std::move(name), std::move(name_space)});
             if (!found.found) return nb::none();
             return nb::make_tuple(nb::bytes(found.actor.view().data(), ActorId::kSize),
                                   nb::bytes(found.handle_blob.data(), found.handle_blob.size()));
           })
      .def("list_actors",
           [](Client&, bool all, std::string name_space) {
             nb::list list;
             for (const ActorListEntry& e :
                  ask<ActorList>(ListActors{all, std::move(name_space)}).actors) {
               list.append(nb::make_tuple(e.name, e.name_space, e.class_name, e.actor.hex()));
             }
             return list;
           })
      .def("kill_actor",
           [](Client&, nb::bytes actor, bool no_restart) {
             ask_done(KillActor{ActorId::from(std::string_view(actor.c_str(), actor.size())),
                                no_restart});
           })
      .def("kv_put",
           [](Client&, std::string space, nb::bytes key, nb::bytes value, bool overwrite) {
             const Done done =
                 ask_done(KvPut{std::move(space), bytes_of(key), bytes_of(value), overwrite});
             if (done.error_code == 1 + static_cast<uint8_t>(ErrorCode::kExists)) return false;
             if (done.error_code != 0) throw nb::value_error(done.message.c_str());
             return true;
           })
      .def("kv_get",
           [](Client&, std::string space, nb::bytes key) -> nb::object {
             KvValue value = ask<KvValue>(KvGet{std::move(space), bytes_of(key)});
             if (!value.found) return nb::none();
             return nb::bytes(value.value.data(), value.value.size());
           })
      .def("kv_delete",
           [](Client&, std::string space, nb::bytes key, bool by_prefix) {
             ask_done(KvDelete{std::move(space), bytes_of(key), by_prefix});
           })
      .def("kv_list", [](Client&, std::string space, nb::bytes prefix) {
        nb::list list;
        for (const std::string& key :
             ask<KvKeys>(KvList{std::move(space), bytes_of(prefix)}).keys) {
          list.append(nb::bytes(key.data(), key.size()));
        }
        return list;
      });
}

void bind_groups(nb::class_<Client>& client) {
  client.def("cluster", &cluster)
      .def("resources", &resources, nb::arg("available"))
      .def("node_status", [](Client&) { return node_status(); })
      .def("create_group", &create_group)
      .def("remove_group",
           [](Client&, const std::string& group) {
             ask_done(RemoveGroup{id_from_hex<PlacementGroupId>(group)});
           })
      .def(
          "wait_group",
          [](Client&, const std::string& group, std::optional<double> timeout) {
            try {
              const WaitGroup wait{id_from_hex<PlacementGroupId>(group)};
              return group_state(ask<GroupStatus>(wait, deadline_of(timeout)).state);
            } catch (nb::python_error& error) {
              if (!error.matches(PyExc_TimeoutError)) throw;
              return group_state(GroupState::kPending);
            }
          },
          nb::arg("group"), nb::arg("timeout").none())
      .def("group_table", [](Client&, const std::string& group, std::string name) {
        return group_table(group, std::move(name));
      });
}

}  // namespace eagleray::python
