// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        .executable(name: "sluiced", targets: ["sluiced"]),
        .executable(name: "sluice-libvirt-hook", targets: ["sluice-libvirt-hook"]),
        .executable(name: "sluice-cni", targets: ["sluice-cni"]),
        .library(name: "SluiceTesting", targets: ["SluiceTesting"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    ],
    targets: [
        // Header-only: what Glibc's module lacks of the kernel's interface.
        .systemLibrary(name: "CLinux"),
        // Header-only too: libvirt and libxml2 are loaded when they are needed, and hosts without them do without.
        .systemLibrary(name: "CLibvirt", providers: [.apt(["libvirt-dev", "libxml2-dev"])]),
        .target(
            name: "Netlink",
            dependencies: ["CLinux", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: settings),
        .target(
            name: "PCI",
            dependencies: ["CLinux", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: settings),
        .target(name: "SRIOV", dependencies: ["Netlink", "PCI"], swiftSettings: settings),
        .target(name: "HostFile", dependencies: ["SRIOV", "Yams"], swiftSettings: settings),
        .target(
            name: "Leasing", dependencies: ["CLinux", "SRIOV", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: settings),
        .target(name: "Diagnosis", dependencies: ["SRIOV"], swiftSettings: settings),
        .target(
            name: "BootFiles",
            dependencies: ["CLinux", "SRIOV", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: settings),
        .target(name: "AgentAPI", dependencies: ["Diagnosis", "Leasing"], swiftSettings: settings),
        // libxml2's headers are named by hand: pkg-config would link the library, which hosts without libvirt lack.
        .target(
            name: "Libvirt", dependencies: ["CLibvirt", "Leasing"],
            swiftSettings: settings + [.unsafeFlags(["-Xcc", "-I/usr/include/libxml2"])]),
        .target(
            name: "Agent",
            dependencies: [
                "AgentAPI", "CLinux", "Diagnosis", "HostFile", "Kubernetes", "Leasing", "Libvirt", "SRIOV",
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"), .product(name: "Logging", package: "swift-log"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "sluiced",
            dependencies: ["Agent", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: settings),
        .target(name: "AgentWire", swiftSettings: settings),
        .executableTarget(
            name: "sluice-libvirt-hook", dependencies: ["AgentWire"], swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-static-executable"])]),
        .executableTarget(
            name: "sluice-cni", dependencies: ["AgentWire"], swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-static-executable"])]),
        .target(name: "Kubernetes", dependencies: ["CLinux", "Leasing"], swiftSettings: settings),
        .target(name: "SluiceTesting", dependencies: ["SRIOV"], swiftSettings: settings),
        .executableTarget(
            name: "sluice",
            dependencies: [
                "AgentAPI", "BootFiles", "Diagnosis", "HostFile", "Leasing", "SRIOV", "Yams",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "link-bench", dependencies: ["Netlink", "PCI", "SRIOV"], path: "Benchmarks/LinkBench",
            swiftSettings: settings),
        .executableTarget(
            name: "lease-bench",
            dependencies: [
                "Agent", "AgentAPI", "SluiceTesting", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/LeaseBench", swiftSettings: settings),
        .testTarget(name: "NetlinkTests", dependencies: ["Netlink"], swiftSettings: settings),
        .testTarget(name: "PCITests", dependencies: ["PCI"], swiftSettings: settings),
        .testTarget(
            name: "SRIOVTests", dependencies: ["SRIOV", "HostFile", "SluiceTesting"], swiftSettings: settings),
        .testTarget(
            name: "DiagnosisTests", dependencies: ["Diagnosis", "HostFile", "SRIOV", "SluiceTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "BootFilesTests", dependencies: ["BootFiles", "HostFile", "SRIOV", "SluiceTesting"],
            swiftSettings: settings),
        .testTarget(name: "HostFileTests", dependencies: ["HostFile"], swiftSettings: settings),
        .testTarget(
            name: "LeasingTests", dependencies: ["HostFile", "Leasing", "SluiceTesting"], swiftSettings: settings),
        .testTarget(
            name: "LibvirtTests", dependencies: ["HostFile", "Leasing", "Libvirt", "PCI", "SRIOV", "SluiceTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "KubernetesTests", dependencies: ["Kubernetes", "Leasing", "Netlink", "SRIOV", "SluiceTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "AgentUnitTests", dependencies: ["Agent", "AgentAPI", "Leasing", "SRIOV"], swiftSettings: settings),
        // Needs the lab's kernel: lab/lab run, or make test.
        .testTarget(
            name: "LabTests", dependencies: ["AgentAPI", "SRIOV", "HostFile", "Leasing", "SluiceTesting"],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)

// Built only by Fuzz/run, with libFuzzer.
if Context.environment["SLUICE_FUZZ"] != nil {
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Fuzz/CFuzzer"),
        .executableTarget(
            name: "fuzz-targets", dependencies: ["CFuzzer", "HostFile", "Netlink", "PCI", "SRIOV"],
            path: "Fuzz/Targets",
            swiftSettings: settings),
    ]
}
