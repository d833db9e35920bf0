internal import SRIOV

/// What a cluster needs so that its nodes run the agent, and its pods get VFs.
struct NodeManifests {
    var declared: DeclaredHost
    var options: KubernetesRender

    private var namespace: String { options.namespace }
    private var image: String { options.image }

    /// All of it, in the order in which it is applied.
    var documents: [Manifest] {
        [serviceAccount, daemonSet] + pools.map(network) + pools.prefix(1).map(pod)
    }

    private var pools: [(pool: DeclaredPool, resource: ResourceName)] {
        declared.pools.compactMap { pool in pool.kubernetesResource.map { (pool, $0) } }
    }

    private var labels: Manifest { ["app.kubernetes.io/name": "sluice"] }

    /// The agent asks Kubernetes' API nothing: it has no role, and its pod no token.
    private var serviceAccount: Manifest {
        [
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": ["name": "sluice", "namespace": .text(namespace), "labels": labels],
            "automountServiceAccountToken": false,
        ]
    }

    private var daemonSet: Manifest {
        [
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": ["name": "sluice", "namespace": .text(namespace), "labels": labels],
            "spec": [
                "selector": ["matchLabels": labels],
                // A node without its agent keeps its VFs, and gives none out.
                "updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": 1]],
                "template": [
                    "metadata": ["labels": labels],
                    "spec": [
                        "serviceAccountName": "sluice", "automountServiceAccountToken": false,
                        "priorityClassName": "system-node-critical", "hostNetwork": true, "hostPID": true,
                        // An agent without a host file would be started again and again.
                        "nodeSelector": .members(nodeLabels),
                        "tolerations": [["operator": "Exists"]],
                        "initContainers": [
                            [
                                "name": "cni", "image": .text(image),
                                "command": .list(
                                    ["/usr/local/bin/sluice", "k8s", "install-cni", "--to", "/host/opt/cni/bin"]
                                        + (options.replaceSriovCni ? ["--replace-sriov-cni"] : [])),
                                "securityContext": [
                                    "allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]],
                                    // The folder is the host's, with its label.
                                    "seLinuxOptions": ["type": "spc_t"],
                                ],
                                "volumeMounts": [["name": "cni-bin", "mountPath": "/host/opt/cni/bin"]],
                            ]
                        ],
                        "containers": [agent],
                        "volumes": .list(volumes.map(\.volume) + [volume("cni-bin", options.cniBin)]),
                    ],
                ],
            ],
        ]
    }

    private var nodeLabels: [(String, Manifest)] {
        let own = options.nodeSelector.map { ($0.key, Manifest.text($0.value)) }
        return (own.contains { $0.0 == "kubernetes.io/os" } ? [] : [("kubernetes.io/os", "linux")]) + own
    }

    /// Device nodes and a /sys that can be written to are for privileged containers only. Those have all capabilities, whatever
    /// is written beside that, so the agent gives up by itself what its unit would not have.
    private var agent: Manifest {
        var command: [Manifest] = ["/usr/local/sbin/sluiced", "--group", "", "--least-privileges"]
        if options.kubelet != "/var/lib/kubelet" { command += ["--kubelet", .text(options.kubelet)] }
        if options.useCdi { command.append("--use-cdi") }
        if let prefix = options.resourcePrefix { command += ["--resource-prefix", .text(prefix)] }
        return [
            "name": "sluiced", "image": .text(image), "command": .list(command),
            "securityContext": ["privileged": true],
            "readinessProbe": [
                "exec": ["command": ["/usr/local/bin/sluice", "k8s", "ready"]], "periodSeconds": 20,
                "timeoutSeconds": 5,
            ],
            "resources": ["requests": ["cpu": "20m", "memory": "64Mi"]],
            "volumeMounts": .list(volumes.map(\.mount)),
        ]
    }

    private var volumes: [(volume: Manifest, mount: Manifest)] {
        func host(
            _ name: String, _ path: String, isReadOnly: Bool = false, propagation: String? = nil
        ) -> (Manifest, Manifest) {
            var members: [(String, Manifest)] = [("name", .text(name)), ("mountPath", .text(path))]
            if isReadOnly { members.append(("readOnly", true)) }
            if let propagation { members.append(("mountPropagation", .text(propagation))) }
            return (volume(name, path), .members(members))
        }
        return [
            host("configuration", "/etc/sluice", isReadOnly: true), host("state", "/var/lib/sluice"),
            host("run", "/run/sluice"), host("sys", "/sys"), host("dev", "/dev"),
            host("modules", "/lib/modules", isReadOnly: true),
            // Namespaces of pods that begin later are mounts that appear there.
            host("netns", "/run/netns", propagation: "HostToContainer"),
            host("kubelet-registry", "\(options.kubelet)/plugins_registry"),
            host("kubelet-plugins", "\(options.kubelet)/device-plugins"),
            host("kubelet-pods", "\(options.kubelet)/pod-resources"), host("devinfo", "/run/k8s.cni.cncf.io"),
            host("cdi", "/run/cdi"), host("sriov-cni", "/var/lib/cni/sriov"),
            // The list of resources that sriov-network-device-plugin had, where there is one.
            (
                [
                    "name": "resource-list",
                    "configMap": ["name": .text(options.configMap), "optional": true],
                ], ["name": "resource-list", "mountPath": "/etc/pcidp", "readOnly": true]
            ),
        ]
    }

    private func volume(_ name: String, _ path: String) -> Manifest {
        ["name": .text(name), "hostPath": ["path": .text(path), "type": "DirectoryOrCreate"]]
    }

    /// A pool's network for multus. Its VFs are set as the pool says; those for programs of the pod's have no addresses.
    private func network(_ pool: DeclaredPool, _ resource: ResourceName) -> Manifest {
        let plugin = "\"cniVersion\": \"1.0.0\", \"name\": \"\(pool.name)\", \"type\": \"sluice-cni\""
        let addresses = options.subnet.map {
            "\"ipam\": { \"type\": \"host-local\", \"ranges\": [ [ { \"subnet\": \"\($0)\" } ] ] }"
        }
        return [
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": [
                "name": .text(Self.objectName(pool.name)), "namespace": "default",
                "annotations": ["k8s.v1.cni.cncf.io/resourceName": "\(resource)"],
            ],
            "spec": [
                "config": .text(
                    addresses.flatMap { isForPrograms(pool) ? nil : "{ \(plugin),\n  \($0) }\n" } ?? "{ \(plugin) }\n")
            ],
        ]
    }

    /// Whether all ports of a pool give their VFs to VFIO.
    private func isForPrograms(_ pool: DeclaredPool) -> Bool {
        pool.members.allSatisfy { member in
            switch member {
            case .passthrough: return true
            case .ports: return false
            case .port(let netdev, _):
                let port = declared.physicalFunctions.first { $0.identity.netdev == netdev }
                if case .vfio? = port?.driver { return true }
                return false
            }
        }
    }

    private func pod(_ pool: DeclaredPool, _ resource: ResourceName) -> Manifest {
        [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": [
                "name": "sluice-sample", "namespace": "default",
                "annotations": ["k8s.v1.cni.cncf.io/networks": .text(Self.objectName(pool.name))],
            ],
            "spec": [
                "containers": [
                    [
                        "name": "sample", "image": "busybox", "command": ["sleep", "infinity"],
                        "resources": [
                            "requests": .members([("\(resource)", "1")]), "limits": .members([("\(resource)", "1")]),
                        ],
                    ]
                ]
            ],
        ]
    }

    /// A pool's name as Kubernetes' objects are named: lower case, letters, digits and single `-` (RFC 1123).
    static func objectName(_ pool: String) -> String {
        pool.lowercased().split { !$0.isLetter && !$0.isNumber }.joined(separator: "-")
    }
}
