#!/bin/bash

__sluice_cursor_index_in_current_word() {
    local remaining="${COMP_LINE}"

    local word
    for word in "${COMP_WORDS[@]::COMP_CWORD}"; do
        remaining="${remaining##*([[:space:]])"${word}"*([[:space:]])}"
    done

    local -ir index="$((COMP_POINT - ${#COMP_LINE} + ${#remaining}))"
    if [[ "${index}" -le 0 ]]; then
        printf 0
    else
        printf %s "${index}"
    fi
}

# positional arguments:
#
# - 1: the current (sub)command's count of positional arguments
#
# required variables:
#
# - repeating_flags: the repeating flags that the current (sub)command can accept
# - non_repeating_flags: the non-repeating flags that the current (sub)command can accept
# - repeating_options: the repeating options that the current (sub)command can accept
# - non_repeating_options: the non-repeating options that the current (sub)command can accept
# - positional_number: value ignored
# - unparsed_words: unparsed words from the current command line
#
# modified variables:
#
# - non_repeating_flags: remove flags for this (sub)command that are already on the command line
# - non_repeating_options: remove options for this (sub)command that are already on the command line
# - positional_number: set to the current positional number
# - unparsed_words: remove all flags, options, and option values for this (sub)command
__sluice_offer_flags_options() {
    local -ir positional_count="${1}"
    positional_number=0

    local was_flag_option_terminator_seen=false
    local is_parsing_option_value=false

    local -ar unparsed_word_indices=("${!unparsed_words[@]}")
    local -i word_index
    for word_index in "${unparsed_word_indices[@]}"; do
        if "${is_parsing_option_value}"; then
            # This word is an option value:
            # Reset marker for next word iff not currently the last word
            [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]] && is_parsing_option_value=false
            unset "unparsed_words[${word_index}]"
            # Do not process this word as a flag or an option
            continue
        fi

        local word="${unparsed_words["${word_index}"]}"
        if ! "${was_flag_option_terminator_seen}"; then
            case "${word}" in
            --)
                unset "unparsed_words[${word_index}]"
                # by itself -- is a flag/option terminator, but if it is the last word, it is the start of a completion
                if [[ "${word_index}" -ne "${unparsed_word_indices[${#unparsed_word_indices[@]} - 1]}" ]]; then
                    was_flag_option_terminator_seen=true
                fi
                continue
                ;;
            -*)
                # ${word} is a flag or an option
                # If ${word} is an option, mark that the next word to be parsed is an option value
                local option
                for option in "${repeating_options[@]}" "${non_repeating_options[@]}"; do
                    [[ "${word}" = "${option}" ]] && is_parsing_option_value=true && break
                done

                # Remove ${word} from ${non_repeating_flags} or ${non_repeating_options} so it isn't offered again
                local not_found=true
                local -i index
                for index in "${!non_repeating_flags[@]}"; do
                    if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                        unset "non_repeating_flags[${index}]"
                        non_repeating_flags=("${non_repeating_flags[@]}")
                        not_found=false
                        break
                    fi
                done
                if "${not_found}"; then
                    for index in "${!non_repeating_flags[@]}"; do
                        if [[ "${non_repeating_flags[${index}]}" = "${word}" ]]; then
                            unset "non_repeating_flags[${index}]"
                            non_repeating_flags=("${non_repeating_flags[@]}")
                            break
                        fi
                    done
                fi
                unset "unparsed_words[${word_index}]"
                continue
                ;;
            esac
        fi

        # ${word} is neither a flag, nor an option, nor an option value
        if [[ "${positional_number}" -lt "${positional_count}" || "${positional_count}" -lt 0 ]]; then
            # ${word} is a positional
            ((positional_number++))
            unset "unparsed_words[${word_index}]"
        else
            if [[ -z "${word}" ]]; then
                # Could be completing a flag, option, or subcommand
                positional_number=-1
            else
                # ${word} is a subcommand or invalid, so stop processing this (sub)command
                positional_number=-2
            fi
            break
        fi
    done

    unparsed_words=("${unparsed_words[@]}")

    if\
        ! "${was_flag_option_terminator_seen}"\
        && ! "${is_parsing_option_value}"\
        && [[ ("${cur}" = -* && "${positional_number}" -ge 0) || "${positional_number}" -eq -1 ]]
    then
        COMPREPLY+=($(compgen -W "${repeating_flags[*]} ${non_repeating_flags[*]} ${repeating_options[*]} ${non_repeating_options[*]}" -- "${cur}"))
    fi
}

__sluice_add_completions() {
    local completion
    while IFS='' read -r completion; do
        COMPREPLY+=("${completion}")
    done < <(IFS=$'\n' compgen "${@}" -- "${cur}")
}

__sluice_custom_complete() {
    if [[ -n "${cur}" || -z ${COMP_WORDS[${COMP_CWORD}]} || "${COMP_LINE:${COMP_POINT}:1}" != ' ' ]]; then
        local -ar words=("${COMP_WORDS[@]}")
    else
        local -ar words=("${COMP_WORDS[@]::${COMP_CWORD}}" '' "${COMP_WORDS[@]:${COMP_CWORD}}")
    fi

    "${COMP_WORDS[0]}" "${@}" "${words[@]}"
}

_sluice() {
    local state
    state="$(shopt -p;shopt -po)"
    trap "${state//$'\n'/;}" RETURN
    shopt -s extglob
    set +o history +o posix

    local -xr SAP_SHELL=bash
    local -x SAP_SHELL_VERSION
    SAP_SHELL_VERSION="$(IFS='.';printf %s "${BASH_VERSINFO[*]}")"
    local -r SAP_SHELL_VERSION

    local -r cur="${2}"
    local -r prev="${3}"

    local -i positional_number
    local -a unparsed_words=("${COMP_WORDS[@]:1:${COMP_CWORD}}")

    local -a repeating_flags=()
    local -a non_repeating_flags=(--version -h --help)
    local -a repeating_options=()
    local -a non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|show|topology|plan|apply|pool|lease|vm|network|events|doctor|boot|k8s|snapshot|schema|help)
        # Offer subcommand argument completions
        "_sluice_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list show topology plan apply pool lease vm network events doctor boot k8s snapshot schema help' -- "${cur}"))
        ;;
    esac
}

_sluice_list() {
    repeating_flags=()
    non_repeating_flags=(--all --version -h --help)
    repeating_options=()
    non_repeating_options=(--root --snapshot --output -o --socket --state -f --file)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--snapshot')
        __sluice_add_completions -f
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    esac
}

_sluice_show() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--root --snapshot --output -o --socket --state)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--snapshot')
        __sluice_add_completions -f
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    1)
        __sluice_add_completions -W "$(__sluice_custom_complete ---completion show -- positional@0 "${COMP_CWORD}" "$(__sluice_cursor_index_in_current_word)")"
        return
        ;;
    esac
}

_sluice_topology() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--root --snapshot --output -o --socket --state -f --file)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--snapshot')
        __sluice_add_completions -f
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    esac
}

_sluice_plan() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=(--only --evict)
    non_repeating_options=(-f --file --socket --state --root --snapshot --output -o)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--only')
        __sluice_add_completions -W "$(__sluice_custom_complete ---completion plan -- --only "${COMP_CWORD}" "$(__sluice_cursor_index_in_current_word)")"
        return
        ;;
    '--evict')
        __sluice_add_completions -W "$(__sluice_custom_complete ---completion plan -- --evict "${COMP_CWORD}" "$(__sluice_cursor_index_in_current_word)")"
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--snapshot')
        __sluice_add_completions -f
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_apply() {
    repeating_flags=()
    non_repeating_flags=(--yes -y --no-wait --recover --version -h --help)
    repeating_options=(--only --evict)
    non_repeating_options=(-f --file --socket --state --deadline)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--only')
        __sluice_add_completions -W "$(__sluice_custom_complete ---completion apply -- --only "${COMP_CWORD}" "$(__sluice_cursor_index_in_current_word)")"
        return
        ;;
    '--evict')
        __sluice_add_completions -W "$(__sluice_custom_complete ---completion apply -- --evict "${COMP_CWORD}" "$(__sluice_cursor_index_in_current_word)")"
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--deadline')
        return
        ;;
    esac
}

_sluice_pool() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|show)
        # Offer subcommand argument completions
        "_sluice_pool_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list show' -- "${cur}"))
        ;;
    esac
}

_sluice_pool_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_pool_show() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_lease() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    acquire|list|show|release|history|repair)
        # Offer subcommand argument completions
        "_sluice_lease_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'acquire list show release history repair' -- "${cur}"))
        ;;
    esac
}

_sluice_lease_acquire() {
    repeating_flags=()
    non_repeating_flags=(--trust --no-trust --spoof-check --no-spoof-check --explain --version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o --pool --function --count --for --numa-node --cpus --near --numa --spread --anti-affinity --driver --mac --vlan --vlan-qos --vlan-protocol --max-tx-rate --min-tx-rate --link-state --ttl --idempotency-key)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--pool')
        return
        ;;
    '--function')
        return
        ;;
    '--count')
        return
        ;;
    '--for')
        return
        ;;
    '--numa-node')
        return
        ;;
    '--cpus')
        return
        ;;
    '--near')
        return
        ;;
    '--numa')
        return
        ;;
    '--spread')
        return
        ;;
    '--anti-affinity')
        return
        ;;
    '--driver')
        return
        ;;
    '--mac')
        return
        ;;
    '--vlan')
        return
        ;;
    '--vlan-qos')
        return
        ;;
    '--vlan-protocol')
        return
        ;;
    '--max-tx-rate')
        return
        ;;
    '--min-tx-rate')
        return
        ;;
    '--link-state')
        return
        ;;
    '--ttl')
        return
        ;;
    '--idempotency-key')
        return
        ;;
    esac
}

_sluice_lease_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_lease_show() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_lease_release() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_lease_history() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_lease_repair() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file --output -o)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_vm() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|attach|detach|ports|check-migration)
        # Offer subcommand argument completions
        "_sluice_vm_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list attach detach ports check-migration' -- "${cur}"))
        ;;
    esac
}

_sluice_vm_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --output -o)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_vm_attach() {
    repeating_flags=()
    non_repeating_flags=(--live --config --trust --no-trust --spoof-check --no-spoof-check --version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --output -o --pool --count --spread --numa --mac --vlan --vlan-qos --vlan-protocol --max-tx-rate --min-tx-rate --link-state --failover)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--pool')
        return
        ;;
    '--count')
        return
        ;;
    '--spread')
        return
        ;;
    '--numa')
        return
        ;;
    '--mac')
        return
        ;;
    '--vlan')
        return
        ;;
    '--vlan-qos')
        return
        ;;
    '--vlan-protocol')
        return
        ;;
    '--max-tx-rate')
        return
        ;;
    '--min-tx-rate')
        return
        ;;
    '--link-state')
        return
        ;;
    '--failover')
        return
        ;;
    esac
}

_sluice_vm_detach() {
    repeating_flags=()
    non_repeating_flags=(--live --config --version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --wait)
    __sluice_offer_flags_options 2

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--wait')
        return
        ;;
    esac
}

_sluice_vm_ports() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --reserve)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--reserve')
        return
        ;;
    esac
}

_sluice_vm_check-migration() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --output -o)
    __sluice_offer_flags_options 1

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_network() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    list|sync)
        # Offer subcommand argument completions
        "_sluice_network_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'list sync' -- "${cur}"))
        ;;
    esac
}

_sluice_network_list() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --output -o)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_network_sync() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state --output -o)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    esac
}

_sluice_events() {
    repeating_flags=()
    non_repeating_flags=(--follow --version -h --help)
    repeating_options=()
    non_repeating_options=(--after --last --output -o --socket --state)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--after')
        return
        ;;
    '--last')
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    esac
}

_sluice_doctor() {
    repeating_flags=()
    non_repeating_flags=(--list --fix --yes -y --version -h --help)
    repeating_options=()
    non_repeating_options=(--root --snapshot --output -o --socket --state -f --file --message --explain)
    __sluice_offer_flags_options -1

    # Offer option value completions
    case "${prev}" in
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--snapshot')
        __sluice_add_completions -f
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--message')
        return
        ;;
    '--explain')
        __sluice_add_completions -W 'access.selinux'$'\n''access.staticOwnership'$'\n''access.vfioNode'$'\n''boot.notPersistent'$'\n''boot.order'$'\n''bridge.filtered'$'\n''device.hung'$'\n''domain.alias'$'\n''domain.cachingMode'$'\n''domain.cannotMigrate'$'\n''domain.memoryLocked'$'\n''domain.noPorts'$'\n''host.lockedDown'$'\n''host.noIOMMU'$'\n''host.noInterruptRemapping'$'\n''host.noVFIO'$'\n''host.noVirtualization'$'\n''host.unsafeInterrupts'$'\n''iommu.groupNotViable'$'\n''iommu.reservedRegion'$'\n''lease.lost'$'\n''libvirt.staleRecord'$'\n''network.inactive'$'\n''network.stale'$'\n''openstack.portBinding'$'\n''pf.down'$'\n''pf.drift'$'\n''pf.driver'$'\n''pf.eswitchMode'$'\n''pf.fewerVFs'$'\n''pf.noCarrier'$'\n''pf.noMemorySpace'$'\n''pf.noVFs'$'\n''pf.notFound'$'\n''pf.otherMaker'$'\n''pf.vfsInTheWay'$'\n''pool.exhausted'$'\n''storage.takenAtBoot'$'\n''vf.drift'$'\n''vf.driver'$'\n''vf.held'$'\n''vf.linkDisabled'$'\n''vf.managed'$'\n''vf.noReset'$'\n''vf.notVirtual'$'\n''vf.portProfile'$'\n''vf.quarantined'$'\n''vf.settingRefused'$'\n''vf.slowMemory'$'\n''vf.vlanTrunk'
        return
        ;;
    esac

    # Offer positional completions
    case "${positional_number}" in
    *)
        __sluice_add_completions -W 'bridge.filtered'$'\n''network.inactive'$'\n''network.stale'$'\n''pf.down'$'\n''pf.drift'$'\n''pf.eswitchMode'$'\n''pf.fewerVFs'$'\n''pf.noVFs'$'\n''vf.drift'$'\n''vf.driver'
        return
        ;;
    esac
}

_sluice_boot() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    render|diff|install|uninstall)
        # Offer subcommand argument completions
        "_sluice_boot_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'render diff install uninstall' -- "${cur}"))
        ;;
    esac
}

_sluice_boot_render() {
    repeating_flags=()
    non_repeating_flags=(--without-agent --with-agent --version -h --help)
    repeating_options=(--only --with)
    non_repeating_options=(-f --file --root --output -o --for)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--only')
        __sluice_add_completions -W 'kernel'$'\n''modules'$'\n''devices'$'\n''functions'$'\n''ports'$'\n''bridge'$'\n''apparmor'$'\n''libvirt'$'\n''agent'$'\n''vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    '--with')
        __sluice_add_completions -W 'vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    '--output'|'-o')
        __sluice_add_completions -W 'table'$'\n''wide'$'\n''json'$'\n''yaml'$'\n''name'
        return
        ;;
    '--for')
        __sluice_add_completions -W 'debian'$'\n''debian-12'$'\n''debian-13'$'\n''ubuntu'$'\n''ubuntu-22.04'$'\n''ubuntu-24.04'$'\n''rhel'$'\n''rhel-9'$'\n''rocky-9'
        return
        ;;
    esac
}

_sluice_boot_diff() {
    repeating_flags=()
    non_repeating_flags=(--without-agent --with-agent --version -h --help)
    repeating_options=(--only --with)
    non_repeating_options=(-f --file --root)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--only')
        __sluice_add_completions -W 'kernel'$'\n''modules'$'\n''devices'$'\n''functions'$'\n''ports'$'\n''bridge'$'\n''apparmor'$'\n''libvirt'$'\n''agent'$'\n''vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    '--with')
        __sluice_add_completions -W 'vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    esac
}

_sluice_boot_install() {
    repeating_flags=()
    non_repeating_flags=(--without-agent --with-agent --yes -y --force --no-run --version -h --help)
    repeating_options=(--only --with)
    non_repeating_options=(-f --file --root)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--only')
        __sluice_add_completions -W 'kernel'$'\n''modules'$'\n''devices'$'\n''functions'$'\n''ports'$'\n''bridge'$'\n''apparmor'$'\n''libvirt'$'\n''agent'$'\n''vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    '--with')
        __sluice_add_completions -W 'vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    esac
}

_sluice_boot_uninstall() {
    repeating_flags=()
    non_repeating_flags=(--without-agent --with-agent --yes -y --force --no-run --version -h --help)
    repeating_options=(--only --with)
    non_repeating_options=(-f --file --root)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -o plusdirs -fX '!*.@(yaml|yml)'
        return
        ;;
    '--root')
        __sluice_add_completions -d
        return
        ;;
    '--only')
        __sluice_add_completions -W 'kernel'$'\n''modules'$'\n''devices'$'\n''functions'$'\n''ports'$'\n''bridge'$'\n''apparmor'$'\n''libvirt'$'\n''agent'$'\n''vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    '--with')
        __sluice_add_completions -W 'vfio-group'$'\n''memlock'$'\n''unsafe-interrupts'
        return
        ;;
    esac
}

_sluice_k8s() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0

    # Offer subcommand / subcommand argument completions
    local -r subcommand="${unparsed_words[0]}"
    unset 'unparsed_words[0]'
    unparsed_words=("${unparsed_words[@]}")
    case "${subcommand}" in
    render|install-cni|ready)
        # Offer subcommand argument completions
        "_sluice_k8s_${subcommand}"
        ;;
    *)
        # Offer subcommand completions
        COMPREPLY+=($(compgen -W 'render install-cni ready' -- "${cur}"))
        ;;
    esac
}

_sluice_k8s_render() {
    repeating_flags=()
    non_repeating_flags=(--replace-sriov-cni --use-cdi --version -h --help)
    repeating_options=(--only)
    non_repeating_options=(-f --file --image --namespace --node-selector --subnet --kubelet --cni-bin --config-map --resource-prefix)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '-f'|'--file')
        __sluice_add_completions -f
        return
        ;;
    '--image')
        return
        ;;
    '--namespace')
        return
        ;;
    '--node-selector')
        return
        ;;
    '--subnet')
        return
        ;;
    '--kubelet')
        return
        ;;
    '--cni-bin')
        return
        ;;
    '--config-map')
        return
        ;;
    '--resource-prefix')
        return
        ;;
    '--only')
        return
        ;;
    esac
}

_sluice_k8s_install-cni() {
    repeating_flags=()
    non_repeating_flags=(--replace-sriov-cni --version -h --help)
    repeating_options=()
    non_repeating_options=(--to --from)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--to')
        __sluice_add_completions -d
        return
        ;;
    '--from')
        __sluice_add_completions -f
        return
        ;;
    esac
}

_sluice_k8s_ready() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    esac
}

_sluice_snapshot() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=(--socket --state -f --file)
    __sluice_offer_flags_options 0

    # Offer option value completions
    case "${prev}" in
    '--socket')
        __sluice_add_completions -f
        return
        ;;
    '--state')
        __sluice_add_completions -d
        return
        ;;
    '-f'|'--file')
        __sluice_add_completions -f
        return
        ;;
    esac
}

_sluice_schema() {
    repeating_flags=()
    non_repeating_flags=(--version -h --help)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options 0
}

_sluice_help() {
    repeating_flags=()
    non_repeating_flags=(--version)
    repeating_options=()
    non_repeating_options=()
    __sluice_offer_flags_options -1
}

complete -o filenames -F _sluice sluice
