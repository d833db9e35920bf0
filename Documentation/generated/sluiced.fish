function __sluiced_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluiced_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __sluiced_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __sluiced_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __sluiced_parse_tokens -S
    set -l unparsed_tokens (__sluiced_tokens -pc)
    switch $unparsed_tokens[1]
    case 'sluiced'
        __sluiced_parse_subcommand 0 'f/file=' 'state=' 'socket=' 'group=' 'allow-uid=+' 'observe-only' 'libvirt=+' 'least-privileges' 'kubelet=' 'resource-list=' 'use-cdi' 'resource-prefix=' 'listen=' 'certificate=' 'key=' 'client-ca=' 'log-level=' 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'help'
            __sluiced_parse_subcommand -r 1 'version'
        end
    end
end

function __sluiced_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __sluiced_parse_subcommand -S -a positional_count
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

function __sluiced_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __sluiced_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__sluiced_tokens -p)
    if test -z "$(__sluiced_tokens -t)"
        set -l index (count (__sluiced_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'sluiced' -f
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" f file' -s 'f' -l 'file' -d 'The host file.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" state' -l 'state' -d 'Where the records are.' -rfa '(__sluiced_complete_directories)'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" socket' -l 'socket' -d 'The Unix socket.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" group' -l 'group' -d 'The group that may read.' -rfka ''
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced"' -l 'allow-uid' -d 'A user beside root who may change something; may be given several times.' -rfka ''
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" observe-only' -l 'observe-only' -d 'Only look: apply, repair and lease nothing.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced"' -l 'libvirt' -d 'A libvirt daemon to follow (default qemu:///system, when a pool is for libvirt).' -rfka ''
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" least-privileges' -l 'least-privileges' -d 'Give up the capabilities that the systemd unit would not have: for containers.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" kubelet' -l 'kubelet' -d 'The folder of the kubelet that is told of the pools for Kubernetes.' -rfa '(__sluiced_complete_directories)'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" resource-list' -l 'resource-list' -d 'A list of resources as sriov-network-device-plugin has it; none if it is not there.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" use-cdi' -l 'use-cdi' -d 'Give containers their device nodes by way of CDI (/var/run/cdi).'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" resource-prefix' -l 'resource-prefix' -d 'The prefix of the list\'s resources that name none.' -rfka ''
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" listen' -l 'listen' -d 'Listen on TCP too, with TLS, for clients with a certificate: ADDRESS:PORT.' -rfka ''
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" certificate' -l 'certificate' -d 'The agent\'s certificate chain, PEM.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" key' -l 'key' -d 'Its key, PEM.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" client-ca' -l 'client-ca' -d 'The authorities of clients\' certificates, PEM.' -rF
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" log-level' -l 'log-level' -d 'How much is logged: debug, info, notice, warning, error.' -rfka ''
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" version' -l 'version' -d 'Show the version.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_positional "sluiced" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'sluiced' -n '__sluiced_should_offer_completions_for_flags_or_options "sluiced help" version' -l 'version' -d 'Show the version.'
