function __sluice_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluice_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __sluice_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluice_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __sluice_parse_tokens -S
    set -l unparsed_tokens (__sluice_tokens -pc)
    switch $unparsed_tokens[1]
    case 'sluice'
        __sluice_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'list'
            __sluice_parse_subcommand 0 'root=' 'snapshot=' 'o/output=' 'socket=' 'state=' 'all' 'f/file=' 'version' 'h/help'
        case 'show'
            __sluice_parse_subcommand 1 'root=' 'snapshot=' 'o/output=' 'socket=' 'state=' 'version' 'h/help'
        case 'topology'
            __sluice_parse_subcommand 0 'root=' 'snapshot=' 'o/output=' 'socket=' 'state=' 'f/file=' 'version' 'h/help'
        case 'plan'
            __sluice_parse_subcommand 0 'f/file=' 'only=+' 'evict=+' 'socket=' 'state=' 'root=' 'snapshot=' 'o/output=' 'version' 'h/help'
        case 'apply'
            __sluice_parse_subcommand 0 'f/file=' 'only=+' 'evict=+' 'socket=' 'state=' 'y/yes' 'no-wait' 'recover' 'deadline=' 'version' 'h/help'
        case 'pool'
            __sluice_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __sluice_parse_subcommand 0 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            case 'show'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            end
        case 'lease'
            __sluice_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'acquire'
                __sluice_parse_subcommand 0 'socket=' 'state=' 'f/file=' 'o/output=' 'pool=' 'function=' 'count=' 'for=' 'numa-node=' 'cpus=' 'near=' 'numa=' 'spread=' 'anti-affinity=' 'driver=' 'mac=' 'vlan=' 'vlan-qos=' 'vlan-protocol=' 'max-tx-rate=' 'min-tx-rate=' 'link-state=' 'trust' 'no-trust' 'spoof-check' 'no-spoof-check' 'ttl=' 'idempotency-key=' 'explain' 'version' 'h/help'
            case 'list'
                __sluice_parse_subcommand 0 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            case 'show'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            case 'release'
                __sluice_parse_subcommand -r 1 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            case 'history'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            case 'repair'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'f/file=' 'o/output=' 'version' 'h/help'
            end
        case 'vm'
            __sluice_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'o/output=' 'version' 'h/help'
            case 'attach'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'o/output=' 'live' 'config' 'pool=' 'count=' 'spread=' 'numa=' 'mac=' 'vlan=' 'vlan-qos=' 'vlan-protocol=' 'max-tx-rate=' 'min-tx-rate=' 'link-state=' 'trust' 'no-trust' 'spoof-check' 'no-spoof-check' 'failover=' 'version' 'h/help'
            case 'detach'
                __sluice_parse_subcommand 2 'socket=' 'state=' 'live' 'config' 'wait=' 'version' 'h/help'
            case 'ports'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'reserve=' 'version' 'h/help'
            case 'check-migration'
                __sluice_parse_subcommand 1 'socket=' 'state=' 'o/output=' 'version' 'h/help'
            end
        case 'network'
            __sluice_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'list'
                __sluice_parse_subcommand 0 'socket=' 'state=' 'o/output=' 'version' 'h/help'
            case 'sync'
                __sluice_parse_subcommand 0 'socket=' 'state=' 'o/output=' 'version' 'h/help'
            end
        case 'events'
            __sluice_parse_subcommand 0 'follow' 'after=' 'last=' 'o/output=' 'socket=' 'state=' 'version' 'h/help'
        case 'doctor'
            __sluice_parse_subcommand -r 1 'root=' 'snapshot=' 'o/output=' 'socket=' 'state=' 'f/file=' 'message=' 'explain=' 'list' 'fix' 'y/yes' 'version' 'h/help'
        case 'boot'
            __sluice_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'render'
                __sluice_parse_subcommand 0 'f/file=' 'root=' 'only=+' 'with=+' 'without-agent' 'with-agent' 'o/output=' 'for=' 'version' 'h/help'
            case 'diff'
                __sluice_parse_subcommand 0 'f/file=' 'root=' 'only=+' 'with=+' 'without-agent' 'with-agent' 'version' 'h/help'
            case 'install'
                __sluice_parse_subcommand 0 'f/file=' 'root=' 'only=+' 'with=+' 'without-agent' 'with-agent' 'y/yes' 'force' 'no-run' 'version' 'h/help'
            case 'uninstall'
                __sluice_parse_subcommand 0 'f/file=' 'root=' 'only=+' 'with=+' 'without-agent' 'with-agent' 'y/yes' 'force' 'no-run' 'version' 'h/help'
            end
        case 'k8s'
            __sluice_parse_subcommand 0 'version' 'h/help'
            switch $unparsed_tokens[1]
            case 'render'
                __sluice_parse_subcommand 0 'f/file=' 'image=' 'namespace=' 'node-selector=' 'subnet=' 'kubelet=' 'cni-bin=' 'replace-sriov-cni' 'config-map=' 'resource-prefix=' 'use-cdi' 'only=+' 'version' 'h/help'
            case 'install-cni'
                __sluice_parse_subcommand 0 'to=' 'replace-sriov-cni' 'from=' 'version' 'h/help'
            case 'ready'
                __sluice_parse_subcommand 0 'socket=' 'state=' 'version' 'h/help'
            end
        case 'snapshot'
            __sluice_parse_subcommand 0 'socket=' 'state=' 'f/file=' 'version' 'h/help'
        case 'schema'
            __sluice_parse_subcommand 0 'version' 'h/help'
        case 'help'
            __sluice_parse_subcommand -r 1 'version'
        end
    end
end

function __sluice_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __sluice_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __sluice_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __sluice_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__sluice_tokens -p)
    if test -z "$(__sluice_tokens -t)"
        set -l index (count (__sluice_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'sluice' -f
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'list' -d 'List physical functions, virtual functions and other devices that can be passed through.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'show' -d 'Show everything about one device.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'topology' -d 'Show the host as a tree: NUMA node, physical function, virtual function, holder.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'plan' -d 'Show the steps from the host as it is to the host file, and change nothing.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'apply' -d 'Bring the host to the state of the host file.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'pool' -d 'Show the pools and what is free in them.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'lease' -d 'Take functions from pools, give them back, and see who has them.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'vm' -d 'Give VFs to libvirt\'s virtual machines, and take them back.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'network' -d 'Keep libvirt\'s networks as the pools are.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'events' -d 'Show what happens on this host: leases, devices that come and go, drift, applies.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'doctor' -d 'Say what is wrong with the host, why, and how to mend it.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'boot' -d 'The files of the operating system that make a host come back as it is declared.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'k8s' -d 'What a Kubernetes node needs.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'snapshot' -d 'Record this host in one text file that the other commands read.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'schema' -d 'Print the JSON Schema of the host file, for editors.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" all' -l 'all' -d 'All PCI functions, also bridges and parts of the chip set.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" f file' -s 'f' -l 'file' -d 'The host file whose pools are shown (default /etc/sluice/host.yaml, if it is there).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice show" -eq 1' -fka '(__sluice_custom_completion ---completion show -- positional@0 (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" f file' -s 'f' -l 'file' -d 'The host file whose pools are shown (default /etc/sluice/host.yaml, if it is there).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" f file' -s 'f' -l 'file' -d 'The host file; - is standard input.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan"' -l 'only' -d 'Only this port or device, by netdev or address; may be given several times.' -rfka '(__sluice_custom_completion ---completion plan -- --only (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan"' -l 'evict' -d 'Take functions from this holder: a domain\'s name, pid:N, a namespace\'s or bridge\'s name, as plan shows them.' -rfka '(__sluice_custom_completion ---completion plan -- --evict (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" o output' -l 'output' -s 'o' -d 'How to print: table, json, yaml.' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" f file' -s 'f' -l 'file' -d 'The host file; - is standard input.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply"' -l 'only' -d 'Only this port or device, by netdev or address; may be given several times.' -rfka '(__sluice_custom_completion ---completion apply -- --only (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply"' -l 'evict' -d 'Take functions from this holder: a domain\'s name, pid:N, a namespace\'s or bridge\'s name, as plan shows them.' -rfka '(__sluice_custom_completion ---completion apply -- --evict (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" y yes' -l 'yes' -s 'y' -d 'Do not ask.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" no-wait' -l 'no-wait' -d 'Do not wait while another apply runs.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" recover' -l 'recover' -d 'Show how far an interrupted apply came and what it still owes; then go on with it.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" deadline' -l 'deadline' -d 'How long the kernel is waited for when it makes VFs, seconds.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice pool" -eq 1' -fa 'list' -d 'List the pools.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice pool" -eq 1' -fa 'show' -d 'Show the functions of a pool and who has them.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool list" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool list" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool list" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool list" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool list" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool show" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool show" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool show" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool show" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool show" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice pool show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice lease" -eq 1' -fa 'acquire' -d 'Take one or more functions, all or none.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice lease" -eq 1' -fa 'list' -d 'List the leases that have not ended, oldest first.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice lease" -eq 1' -fa 'show' -d 'Show one lease.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice lease" -eq 1' -fa 'release' -d 'Give a function back: it is reset, cleaned and free.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice lease" -eq 1' -fa 'history' -d 'Show what happened to a device or a lease: when, why, and who did it.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice lease" -eq 1' -fa 'repair' -d 'Try again to clean a function that is quarantined.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" pool' -l 'pool' -d 'The pool to take from.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" function' -l 'function' -d 'The one function that is wanted, by PCI address.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" count' -l 'count' -d 'How many functions.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" for' -l 'for' -d 'Whom it is for, and with whose life it ends: domain:UUID, namespace:PATH, process:PID, port:UUID, person:NAME (default: you).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" numa-node' -l 'numa-node' -d 'Near this NUMA node.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" cpus' -l 'cpus' -d 'Near these CPUs, such as 0-11.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" near' -l 'near' -d 'Near this device, by PCI address.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" numa' -l 'numa' -d 'How the place counts: require, prefer, ignore (default: the pool\'s).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" spread' -l 'spread' -d 'physicalFunction (the least used port) or pack (default: the pool\'s).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" anti-affinity' -l 'anti-affinity' -d 'What the functions must not share: none, physicalFunction, card.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" driver' -l 'driver' -d 'The driver that is needed, such as vfio-pci.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" mac' -l 'mac' -d 'MAC address.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" vlan' -l 'vlan' -d 'VLAN, 0 for none.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" vlan-qos' -l 'vlan-qos' -d 'Priority of the VLAN, 0–7.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" vlan-protocol' -l 'vlan-protocol' -d 'Its protocol: 802.1Q, 802.1ad (default: 802.1Q).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" max-tx-rate' -l 'max-tx-rate' -d 'Limit of the transmit rate, Mbps.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" min-tx-rate' -l 'min-tx-rate' -d 'Transmit rate that it has at least, Mbps.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" link-state' -l 'link-state' -d 'Its link: auto as the port\'s, enable, disable.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" trust' -l 'trust' -d 'Let it change its address and receive mode.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" no-trust' -l 'no-trust' -d 'Let it change its address and receive mode.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" spoof-check' -l 'spoof-check' -d 'Drop frames with a foreign source address.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" no-spoof-check' -l 'no-spoof-check' -d 'Drop frames with a foreign source address.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" ttl' -l 'ttl' -d 'How long it lasts, seconds (default: until it is released).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" idempotency-key' -l 'idempotency-key' -d 'A key of your own: the same request with the same key gives the same lease.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" explain' -l 'explain' -d 'Say why these functions, and why not the others.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease acquire" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease list" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease list" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease list" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease list" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease list" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease show" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease show" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease show" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease show" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease show" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease release" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease release" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease release" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease release" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease release" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease release" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease history" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease history" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease history" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease history" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease history" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease history" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease repair" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease repair" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease repair" f file' -s 'f' -l 'file' -d 'The host file with the pools, when no agent runs.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease repair" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease repair" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice lease repair" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice vm" -eq 1' -fa 'list' -d 'List virtual machines with their VFs, pools, NUMA fit and free hot-plug ports.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice vm" -eq 1' -fa 'attach' -d 'Attach VFs of a pool to a virtual machine, all or none.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice vm" -eq 1' -fa 'detach' -d 'Detach a VF from a virtual machine, and clean it.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice vm" -eq 1' -fa 'ports' -d 'Make places where devices can be attached while a virtual machine runs.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice vm" -eq 1' -fa 'check-migration' -d 'Say what keeps a virtual machine from migrating.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm list" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm list" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm list" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm list" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" live' -l 'live' -d 'Only the running virtual machine.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" config' -l 'config' -d 'Only its next start.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" pool' -l 'pool' -d 'The pool to take from.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" count' -l 'count' -d 'How many VFs.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" spread' -l 'spread' -d 'pf: each of another port; card: each of another card.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" numa' -l 'numa' -d 'How its NUMA nodes count: require, prefer, ignore (default: the pool\'s).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" mac' -l 'mac' -d 'MAC address.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" vlan' -l 'vlan' -d 'VLAN, 0 for none.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" vlan-qos' -l 'vlan-qos' -d 'Priority of the VLAN, 0–7.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" vlan-protocol' -l 'vlan-protocol' -d 'Its protocol: 802.1Q, 802.1ad (default: 802.1Q).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" max-tx-rate' -l 'max-tx-rate' -d 'Limit of the transmit rate, Mbps.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" min-tx-rate' -l 'min-tx-rate' -d 'Transmit rate that it has at least, Mbps.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" link-state' -l 'link-state' -d 'Its link: auto as the port\'s, enable, disable.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" trust' -l 'trust' -d 'Let it change its address and receive mode.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" no-trust' -l 'no-trust' -d 'Let it change its address and receive mode.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" spoof-check' -l 'spoof-check' -d 'Drop frames with a foreign source address.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" no-spoof-check' -l 'no-spoof-check' -d 'Drop frames with a foreign source address.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" failover' -l 'failover' -d 'Add a virtio interface of this network that stands in while it migrates.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm attach" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" live' -l 'live' -d 'Only the running virtual machine.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" config' -l 'config' -d 'Only its next start.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" wait' -l 'wait' -d 'How long the guest may take.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm detach" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm ports" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm ports" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm ports" reserve' -l 'reserve' -d 'How many ports are to be free.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm ports" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm ports" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm check-migration" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm check-migration" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm check-migration" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm check-migration" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice vm check-migration" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice network" -eq 1' -fa 'list' -d 'List the networks of pools, and what a sync would do.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice network" -eq 1' -fa 'sync' -d 'Make and start the networks of pools; running virtual machines keep what they have.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network list" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network list" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network list" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network list" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network sync" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network sync" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network sync" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network sync" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice network sync" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" follow' -l 'follow' -d 'Go on with what happens from now on; needs the agent. Ctrl-C ends it.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" after' -l 'after' -d 'Begin after the event of this id.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" last' -l 'last' -d 'How many of the latest events are shown.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" o output' -l 'output' -s 'o' -d 'How to print: table, wide (with ids), json (one object a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice events" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" f file' -s 'f' -l 'file' -d 'The host file that the host is compared with (default: /etc/sluice/host.yaml, if there is one).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" message' -l 'message' -d 'Explain a message of libvirt, QEMU, the kernel or OpenStack instead of looking at the host.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" explain' -l 'explain' -d 'Explain a fault, and show it where this host has it.' -rfka 'access.selinux access.staticOwnership access.vfioNode boot.notPersistent boot.order bridge.filtered device.hung domain.alias domain.cachingMode domain.cannotMigrate domain.memoryLocked domain.noPorts host.lockedDown host.noIOMMU host.noInterruptRemapping host.noVFIO host.noVirtualization host.unsafeInterrupts iommu.groupNotViable iommu.reservedRegion lease.lost libvirt.staleRecord network.inactive network.stale openstack.portBinding pf.down pf.drift pf.driver pf.eswitchMode pf.fewerVFs pf.noCarrier pf.noMemorySpace pf.noVFs pf.notFound pf.otherMaker pf.vfsInTheWay pool.exhausted storage.takenAtBoot vf.drift vf.driver vf.held vf.linkDisabled vf.managed vf.noReset vf.notVirtual vf.portProfile vf.quarantined vf.settingRefused vf.slowMemory vf.vlanTrunk'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" list' -l 'list' -d 'List the faults that are known.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" fix' -l 'fix' -d 'Mend what can be mended: all of it, or the faults that are named.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" y yes' -l 'yes' -s 'y' -d 'With --fix: do not ask.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice doctor" -ge 1' -fka 'bridge.filtered network.inactive network.stale pf.down pf.drift pf.eswitchMode pf.fewerVFs pf.noVFs vf.drift vf.driver'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice doctor" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice boot" -eq 1' -fa 'render' -d 'Print the files, for this host or another system.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice boot" -eq 1' -fa 'diff' -d 'Compare the files with those that are there.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice boot" -eq 1' -fa 'install' -d 'Write what differs, and run what makes it count.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice boot" -eq 1' -fa 'uninstall' -d 'Take the files away; what was there before comes back.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" f file' -s 'f' -l 'file' -d 'The host file; - is standard input (default: /etc/sluice/host.yaml, below --root).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" root' -l 'root' -d 'Work on the image of a host that is mounted at DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render"' -l 'only' -d 'Only this topic; may be given several times. kernel, modules, devices, functions, ports, bridge, apparmor, libvirt, agent, vfio-group, memlock, unsafe-interrupts' -rfka 'kernel modules devices functions ports bridge apparmor libvirt agent vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render"' -l 'with' -d 'Also this topic, which is a risk: vfio-group, memlock, unsafe-interrupts.' -rfka 'vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" without-agent' -l 'without-agent' -d 'udev makes the VFs at boot, and no agent is started.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" with-agent' -l 'with-agent' -d 'The agent again, where --without-agent was chosen before.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" for' -l 'for' -d 'As the installer of this system leaves a host: debian, debian-12, debian-13, ubuntu, ubuntu-22.04, ubuntu-24.04, rhel, rhel-9, rocky-9.' -rfka 'debian debian-12 debian-13 ubuntu ubuntu-22.04 ubuntu-24.04 rhel rhel-9 rocky-9'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot render" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff" f file' -s 'f' -l 'file' -d 'The host file; - is standard input (default: /etc/sluice/host.yaml, below --root).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff" root' -l 'root' -d 'Work on the image of a host that is mounted at DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff"' -l 'only' -d 'Only this topic; may be given several times. kernel, modules, devices, functions, ports, bridge, apparmor, libvirt, agent, vfio-group, memlock, unsafe-interrupts' -rfka 'kernel modules devices functions ports bridge apparmor libvirt agent vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff"' -l 'with' -d 'Also this topic, which is a risk: vfio-group, memlock, unsafe-interrupts.' -rfka 'vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff" without-agent' -l 'without-agent' -d 'udev makes the VFs at boot, and no agent is started.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff" with-agent' -l 'with-agent' -d 'The agent again, where --without-agent was chosen before.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot diff" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" f file' -s 'f' -l 'file' -d 'The host file; - is standard input (default: /etc/sluice/host.yaml, below --root).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" root' -l 'root' -d 'Work on the image of a host that is mounted at DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install"' -l 'only' -d 'Only this topic; may be given several times. kernel, modules, devices, functions, ports, bridge, apparmor, libvirt, agent, vfio-group, memlock, unsafe-interrupts' -rfka 'kernel modules devices functions ports bridge apparmor libvirt agent vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install"' -l 'with' -d 'Also this topic, which is a risk: vfio-group, memlock, unsafe-interrupts.' -rfka 'vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" without-agent' -l 'without-agent' -d 'udev makes the VFs at boot, and no agent is started.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" with-agent' -l 'with-agent' -d 'The agent again, where --without-agent was chosen before.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" y yes' -l 'yes' -s 'y' -d 'Do not ask.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" force' -l 'force' -d 'Also replace what somebody else has written; a copy is kept.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" no-run' -l 'no-run' -d 'Print the commands that make the files count, and do not run them.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot install" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" f file' -s 'f' -l 'file' -d 'The host file; - is standard input (default: /etc/sluice/host.yaml, below --root).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" root' -l 'root' -d 'Work on the image of a host that is mounted at DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall"' -l 'only' -d 'Only this topic; may be given several times. kernel, modules, devices, functions, ports, bridge, apparmor, libvirt, agent, vfio-group, memlock, unsafe-interrupts' -rfka 'kernel modules devices functions ports bridge apparmor libvirt agent vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall"' -l 'with' -d 'Also this topic, which is a risk: vfio-group, memlock, unsafe-interrupts.' -rfka 'vfio-group memlock unsafe-interrupts'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" without-agent' -l 'without-agent' -d 'udev makes the VFs at boot, and no agent is started.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" with-agent' -l 'with-agent' -d 'The agent again, where --without-agent was chosen before.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" y yes' -l 'yes' -s 'y' -d 'Do not ask.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" force' -l 'force' -d 'Also replace what somebody else has written; a copy is kept.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" no-run' -l 'no-run' -d 'Print the commands that make the files count, and do not run them.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice boot uninstall" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice k8s" -eq 1' -fa 'render' -d 'Print the manifests for a cluster whose nodes have this host file.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice k8s" -eq 1' -fa 'install-cni' -d 'Put the CNI plugin where the container runtime looks.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice k8s" -eq 1' -fa 'ready' -d 'Succeed when the agent runs and the host is as declared: for probes.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" f file' -s 'f' -l 'file' -d 'The host file.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" image' -l 'image' -d 'The image with Sluice\'s programs; see packaging/container.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" namespace' -l 'namespace' -d 'The agent\'s namespace.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" node-selector' -l 'node-selector' -d 'The label of the nodes that have a host file.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" subnet' -l 'subnet' -d 'The addresses that host-local gives out in the networks; none when left out.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" kubelet' -l 'kubelet' -d 'The kubelet\'s folder.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" cni-bin' -l 'cni-bin' -d 'The folder of the runtime\'s CNI plugins.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" replace-sriov-cni' -l 'replace-sriov-cni' -d 'Let networks of sriov-cni be served, as they are.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" config-map' -l 'config-map' -d 'The ConfigMap with config.json, the list of resources that sriov-network-device-plugin had.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" resource-prefix' -l 'resource-prefix' -d 'The prefix of that list\'s resources (intel.com).' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" use-cdi' -l 'use-cdi' -d 'Give containers their device nodes by way of CDI.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render"' -l 'only' -d 'Only objects of this kind, such as DaemonSet; may be given several times.' -rfka ''
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s render" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s install-cni" to' -l 'to' -d 'The folder.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s install-cni" replace-sriov-cni' -l 'replace-sriov-cni' -d 'Put it in the place of sriov-cni too, so that its networks are served as they are.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s install-cni" from' -l 'from' -d 'The plugin.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s install-cni" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s install-cni" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s ready" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s ready" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s ready" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice k8s ready" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" socket' -l 'socket' -d 'The agent\'s socket.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" state' -l 'state' -d 'Where the records are, when no agent runs.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" f file' -s 'f' -l 'file' -d 'Write to FILE, which must not exist, instead of standard output.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice schema" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice schema" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice help" version' -l 'version' -d 'Show the version.'
