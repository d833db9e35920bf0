internal import SRIOV

/// Compares what is to be with what is there and with what was installed. Changes nothing.
struct BootComparer {
    let files: RootedFiles
    let records: BootRecords
    let manifest: BootManifest

    /// What we know a file to have been.
    private func known(_ path: String, _ copies: [BootRecords.Copy]) throws(SRIOVError) -> [[UInt8]] {
        var known: [[UInt8]] = []
        for copy in copies { if let bytes = try records.read(copy, of: path) { known.append(bytes) } }
        return known
    }

    /// What follows for a file that is to be there.
    func change(for file: BootFile) throws(SRIOVError) -> BootChange {
        let now = try files.present(file.path)
        let entry = manifest[file.path]
        var change = BootChange(
            path: file.path, topic: file.topic, action: .keep, before: now.shown, after: now.shown, file: file,
            bytes: now.bytes)
        func take(_ action: BootChange.Action, _ bytes: [UInt8]?, _ reason: String? = nil) -> BootChange {
            change.action = action
            change.reason = reason
            change.bytes = bytes
            change.after = bytes.map { String(decoding: $0, as: UTF8.self) }
            return change
        }
        if case .link(let target) = file.content {
            change.after = "→ \(target)\n"
            change.bytes = nil
            // systemctl makes links to whichever name of the folder it has found.
            if let link = now.link, link.split(separator: "/").last == target.split(separator: "/").last {
                change.after = now.shown
            } else if now.link == nil, now.bytes == nil {
                change.action = .add
            } else if let link = now.link, entry?.part == link {
                change.action = .update
            } else {
                (change.action, change.reason) = (.foreign, "something else is there")
            }
            return change
        }
        if let link = now.link {
            return take(.foreign, wanted(file, .init(), entry), "it is a symbolic link to \(link)")
        }
        let bytes = wanted(file, now, entry)
        guard now.bytes != bytes else {
            // What is ours as a whole has our permissions, too: a script that may not be run any more is none.
            if case .whole = file.content, entry != nil, let status = try files.status(file.path),
                status.mode != file.mode
            {
                return take(.update, bytes, "its permissions were changed")
            }
            return change
        }
        guard now.bytes != nil else { return take(.add, bytes) }
        let known = entry == nil ? [] : try known(file.path, [.installed, .before, .original])
        switch file.content {
        case .block(let block):
            guard now.isText else { return take(.foreign, bytes, "it is no text") }
            guard SharedFile.isSound(now.text ?? "") else { return take(.foreign, now.bytes, "its marks are broken") }
            guard let present = SharedFile.block(of: now.text ?? "") else { return take(.add, bytes) }
            let isOurs = known.contains { SharedFile.block(of: String(decoding: $0, as: UTF8.self)) == present }
            return take(
                isOurs ? .update : .foreign, bytes,
                isOurs ? nil : "what is between the marks was changed: it had \(entry?.part ?? block)")
        case .words:
            guard now.isText else { return take(.foreign, bytes, "it is no text") }
            return take(entry == nil ? .add : .update, bytes)
        default:
            if known.contains(where: { $0 == now.bytes }) { return take(.update, bytes) }
            return take(
                .foreign, bytes,
                entry == nil ? "somebody else has written it" : "it was changed since it was installed")
        }
    }

    private func wanted(_ file: BootFile, _ now: RootedFiles.Present, _ entry: BootManifest.Entry?) -> [UInt8] {
        let text: String
        switch file.content {
        case .whole(let content): text = content
        case .block(let block): text = SharedFile.text(now.text ?? "", withBlock: block)
        case .words(let words):
            let old = entry?.part.split(separator: " ").map(String.init) ?? []
            text = SharedFile.text(now.text ?? "", adding: words, removing: old.filter { !words.contains($0) })
        case .link: text = ""
        }
        return Array(text.utf8)
    }

    /// What follows for a file that was installed and is not wanted any more.
    func removal(of entry: BootManifest.Entry) throws(SRIOVError) -> BootChange {
        let now = try files.present(entry.path)
        let original = entry.original == nil ? nil : try records.read(.original, of: entry.path)
        let isOriginalLost = entry.original != nil && original == nil
        var change = BootChange(
            path: entry.path, topic: BootTopic(rawValue: entry.topic) ?? .kernel, action: .remove, before: now.shown,
            bytes: original)
        change.after = entry.originalLink.map { "→ \($0)\n" } ?? original.map { String(decoding: $0, as: UTF8.self) }
        if entry.kind == "link" {
            if let link = now.link, link != entry.part { change.action = .foreign }
            if now.bytes != nil { change.action = .foreign }
        } else if now.link != nil {
            change.action = .foreign
        } else if let bytes = now.bytes, bytes != original {
            let known = try known(entry.path, [.installed, .before])
            if !known.contains(bytes) || isOriginalLost {
                // Of what others write too, only our part goes.
                guard entry.kind != "whole", let text = now.text, now.isText else {
                    (change.action, change.reason) = (.foreign, "it was changed since it was installed")
                    return change
                }
                let words = entry.part.split(separator: " ").map(String.init)
                let isOurs = known.contains {
                    SharedFile.block(of: String(decoding: $0, as: UTF8.self)) == SharedFile.block(of: text)
                }
                guard entry.kind == "words" || SharedFile.block(of: text) == nil || isOurs, SharedFile.isSound(text)
                else {
                    (change.action, change.reason) = (.foreign, "what is between the marks was changed")
                    return change
                }
                let rest =
                    entry.kind == "block"
                    ? SharedFile.text(text, withBlock: nil) : SharedFile.text(text, removing: words)
                let isEmpty = entry.original == nil && !rest.contains { !$0.isWhitespace }
                change.bytes = isEmpty ? nil : Array(rest.utf8)
                change.after = isEmpty ? nil : rest
            }
        }
        if isOriginalLost, change.action == .remove, now.bytes != nil, entry.kind == "whole" {
            change.action = .foreign
        }
        if change.action == .foreign { change.reason = "something else is there by now" }
        return change
    }
}
