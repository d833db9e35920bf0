extension BootRenderer {
    /// The words for the IOMMU. AMD's and ARM's are on by themselves; `pt` spares the host's own devices the translation
    /// (Documentation/admin-guide/kernel-parameters.txt).
    private var kernelWords: [String] {
        switch system.iommu {
        case .arm: ["iommu.passthrough=1"]
        case .amd: ["iommu=pt"]
        // Where it is not known: the word does no harm on others.
        case .intel, nil: ["intel_iommu=on", "iommu=pt"]
        }
    }

    /// Writes the entry of each kernel anew: `kernel-install add-all` is not in every release.
    private static let entries =
        "for folder in /usr/lib/modules/*/; do version=$(basename \"$folder\"); image=${folder}vmlinuz; "
        + "[ -e \"$image\" ] || image=/boot/vmlinuz-$version; "
        + "[ ! -e \"$image\" ] || kernel-install add \"$version\" \"$image\" || exit 1; done"

    func addKernel(to set: inout BootSet) {
        guard passesThrough || isWished(.kernel) else { return }
        let words = kernelWords.filter { !system.kernelWords.contains($0) }
        guard !words.isEmpty else {
            set.note(.kernel, "the kernel's command line has \(kernelWords.joined(separator: " ")) already")
            return
        }
        let why = "devices are passed through an IOMMU"
        let text = words.joined(separator: " ")
        // What some kernels have already is somebody else's, and stays with all of them.
        let ours = words.filter { !system.someKernelWords.contains($0) }.joined(separator: " ")
        switch system.bootLoader {
        case .grub:
            set.files.append(
                .text(
                    "/etc/default/grub.d/60-sluice.cfg", .kernel, why,
                    "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX \(text)\"\n"))
            set.commands.append(.refresh(["update-grub"], for: [.kernel]))
        case .systemdBoot:
            // With that file the entries of kernels have its words and no others: one without root= would not boot.
            guard system.hasCommandLineFile else {
                set.note(
                    .kernel,
                    "there is no /etc/kernel/cmdline: write it, with root= and all else of /proc/cmdline, then \(text)")
                return
            }
            set.files.append(BootFile("/etc/kernel/cmdline", .kernel, why, .words(words)))
            set.commands.append(.refresh(["sh", "-c", Self.entries], for: [.kernel]))
        case .grubby:
            set.commands.append(
                BootCommand(
                    arguments: ["grubby", "--update-kernel=ALL", "--args=\(text)"],
                    undo: ours.isEmpty ? ["true"] : ["grubby", "--update-kernel=ALL", "--remove-args=\(ours)"],
                    topics: [.kernel], words: words))
        case .kernelstub:
            set.commands.append(
                BootCommand(
                    arguments: ["kernelstub", "--add-options", text], undo: ["kernelstub", "--delete-options", text],
                    topics: [.kernel], words: words))
        case .none:
            set.note(.kernel, "no boot loader is known here: add \(text) to the kernel's command line by hand")
        }
    }
}
