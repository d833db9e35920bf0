import Testing

/// Everything that changes the lab's devices, one after the other.
@Suite(.serialized, .enabled(if: Lab.variants != nil, Lab.notInLab))
enum LabSuite {}
