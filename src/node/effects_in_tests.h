// What tests of the node ask of its effects.
#pragma once

#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include "node/node_machine.h"

namespace eagleray {

// Messages of one kind to clients, each with whom it goes to.
template <class M>
std::vector<std::pair<ProcId, M>> sent_in(const NodeEffects& effects) {
  std::vector<std::pair<ProcId, M>> found;
  for (const auto& effect : effects.list) {
    const auto* to = std::get_if<NodeEffects::ToClient>(&effect);
    if (!to) continue;
    if (const auto* message = std::get_if<M>(&to->message)) found.emplace_back(to->to, *message);
  }
  return found;
}

// Messages of one kind to control.
template <class M>
std::vector<M> told_in(const NodeEffects& effects) {
  std::vector<M> found;
  for (const auto& effect : effects.list) {
    const auto* to = std::get_if<FromNode>(&effect);
    if (!to) continue;
    if (const auto* message = std::get_if<M>(&to->message)) found.push_back(*message);
  }
  return found;
}

template <class E>
size_t count_in(const NodeEffects& effects) {
  size_t n = 0;
  for (const auto& effect : effects.list) n += std::holds_alternative<E>(effect) ? 1 : 0;
  return n;
}

}  // namespace eagleray
