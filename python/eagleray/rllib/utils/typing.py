"""Names for annotations of programs. They are not checked: each is what its word says, mostly Any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TensorType = TensorStructType = TensorShape = SpaceStruct = Any
AgentID = EnvID = EpisodeID = UnrollID = Any
PolicyID = ModuleID = str
EnvType = EnvObsType = EnvActionType = EpisodeType = Any
EnvInfoDict = EnvConfigDict = ModelConfigDict = ModelGradients = ModelWeights = dict[str, Any]
MultiAgentDict = MultiEnvDict = MultiAgentPolicyConfigDict = dict[Any, Any]
AlgorithmConfigDict = PartialAlgorithmConfigDict = dict[str, Any]
TrainerConfigDict = PartialTrainerConfigDict = dict[str, Any]
ResultDict = LearnerStatsDict = GradInfoDict = StateDict = PolicyState = dict[str, Any]
ModelInputDict = ParamDict = NamedParamDict = ViewRequirementsDict = dict[str, Any]
EnvCreator = Callable[[Any], Any]
AgentToModuleMappingFn = ShouldModuleBeUpdatedFn = IsPolicyToTrain = Callable[..., Any]
SampleBatchType = PolicyOutputType = StateBatches = RLModuleSpecType = NetworkType = Any
FileType = FromConfigSpec = LearningRateOrSchedule = LocalOptimizer = Optimizer = Any
Param = ParamRef = ParamList = DeviceType = ConvFilterSpec = Any
AgentConnectorDataType = AgentConnectorsOutput = ActionConnectorDataType = Any

__all__ = [name for name in dir() if name[0].isupper() and name not in ("Any", "Callable")]
