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

    func addKernel(to set: inout BootSet) {
        guard passesThrough || isWished(.kernel) else { return }
        let words = kernelWords.filter { !system.kernelWords.contains($0) }
        guard !words.isEmpty else {
            set.notes.append("the kernel's command line has \(kernelWords.joined(separator: " ")) already")
            return
        }
        let why = "devices are passed through an IOMMU"
        let text = words.joined(separator: " ")
        switch system.bootLoader {
        case .grub:
            set.files.append(
                .text(
                    "/etc/default/grub.d/60-sluice.cfg", .kernel, why,
                    "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX \(text)\"\n"))
            set.commands.append(.refresh(["update-grub"], for: [.kernel]))
        case .systemdBoot:
            set.files.append(BootFile("/etc/kernel/cmdline", .kernel, why, .words(words)))
            // Each kernel's entry is written anew from /etc/kernel/cmdline.
            set.commands.append(.refresh(["kernel-install", "add-all"], for: [.kernel]))
        case .grubby:
            set.commands.append(
                BootCommand(
                    arguments: ["grubby", "--update-kernel=ALL", "--args=\(text)"],
                    undo: ["grubby", "--update-kernel=ALL", "--remove-args=\(text)"], topics: [.kernel], words: words))
        case .kernelstub:
            set.commands.append(
                BootCommand(
                    arguments: ["kernelstub", "--add-options", text], undo: ["kernelstub", "--delete-options", text],
                    topics: [.kernel], words: words))
        case .none:
            set.notes.append("no boot loader is known here: add \(text) to the kernel's command line by hand")
        }
    }
}
