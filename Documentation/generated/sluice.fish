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
            __sluice_parse_subcommand 0 'root=' 'snapshot=' 'o/output=' 'all' 'f/file=' 'version' 'h/help'
        case 'show'
            __sluice_parse_subcommand 1 'root=' 'snapshot=' 'o/output=' 'version' 'h/help'
        case 'topology'
            __sluice_parse_subcommand 0 'root=' 'snapshot=' 'o/output=' 'f/file=' 'version' 'h/help'
        case 'plan'
            __sluice_parse_subcommand 0 'f/file=' 'only=+' 'evict=+' 'state=' 'root=' 'snapshot=' 'o/output=' 'version' 'h/help'
        case 'apply'
            __sluice_parse_subcommand 0 'f/file=' 'only=+' 'evict=+' 'state=' 'y/yes' 'no-wait' 'recover' 'version' 'h/help'
        case 'snapshot'
            __sluice_parse_subcommand 0 'f/file=' 'version' 'h/help'
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
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'snapshot' -d 'Record this host in one text file that the other commands read.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'schema' -d 'Print the JSON Schema of the host file, for editors.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" all' -l 'all' -d 'All PCI functions, also bridges and parts of the chip set.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" f file' -s 'f' -l 'file' -d 'The host file whose pools are shown (default /etc/sluice/host.yaml, if it is there).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice list" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_positional "sluice show" -eq 1' -fka '(__sluice_custom_completion ---completion show -- positional@0 (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" o output' -l 'output' -s 'o' -d 'How to print: table, wide (more columns), json, yaml, name (one name a line).' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" f file' -s 'f' -l 'file' -d 'The host file whose pools are shown (default /etc/sluice/host.yaml, if it is there).' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice topology" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" f file' -s 'f' -l 'file' -d 'The host file; - is standard input.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan"' -l 'only' -d 'Only this port or device, by netdev or address; may be given several times.' -rfka '(__sluice_custom_completion ---completion plan -- --only (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan"' -l 'evict' -d 'Take functions from this holder: a domain\'s name, pid:N, a namespace\'s or bridge\'s name, as plan shows them.' -rfka '(__sluice_custom_completion ---completion plan -- --evict (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" state' -l 'state' -d 'Where the program keeps its records.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" root' -l 'root' -d 'Look at the host whose /sys and /proc are below DIR.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" snapshot' -l 'snapshot' -d 'Look at a recorded host: made by sluice snapshot or umockdev-record.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" o output' -l 'output' -s 'o' -d 'How to print: table, json, yaml.' -rfka 'table wide json yaml name'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice plan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" f file' -s 'f' -l 'file' -d 'The host file; - is standard input.' -rfa '(set -l exts \'yaml\' \'yml\';for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.{$exts};printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply"' -l 'only' -d 'Only this port or device, by netdev or address; may be given several times.' -rfka '(__sluice_custom_completion ---completion apply -- --only (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply"' -l 'evict' -d 'Take functions from this holder: a domain\'s name, pid:N, a namespace\'s or bridge\'s name, as plan shows them.' -rfka '(__sluice_custom_completion ---completion apply -- --evict (count (__sluice_tokens -pc)) (__sluice_tokens -tC))'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" state' -l 'state' -d 'Where the program keeps its records.' -rfa '(__sluice_complete_directories)'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" y yes' -l 'yes' -s 'y' -d 'Do not ask.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" no-wait' -l 'no-wait' -d 'Do not wait while another apply runs.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" recover' -l 'recover' -d 'Show how far an interrupted apply came and what it still owes; then go on with it.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice apply" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" f file' -s 'f' -l 'file' -d 'Write to FILE, which must not exist, instead of standard output.' -rF
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice snapshot" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice schema" version' -l 'version' -d 'Show the version.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice schema" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'sluice' -n '__sluice_should_offer_completions_for_flags_or_options "sluice help" version' -l 'version' -d 'Show the version.'
