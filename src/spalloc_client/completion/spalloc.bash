# Completion of spalloc's commands for bash: the command itself says what can stand at the cursor.
#
# Loaded by bash-completion from share/bash-completion/completions, or by:  eval "$(spalloc --completion bash)"

_spalloc() {
    local kind line word gap before='' rest=$COMP_LINE
    local -i index cursor=0
    local -a answer words=() starts=()
    # Bash cuts words at "@" and ":" as well, which owners and machines have in their names: put them together again.
    for index in "${!COMP_WORDS[@]}"; do
        word=${COMP_WORDS[index]}
        gap=$rest
        if [[ -n $word ]]; then
            gap=${rest%%"$word"*}
            rest=${rest#*"$word"}
        fi
        if [[ -z $gap && ${#words[@]} -gt 1 && ($word == [@:]* || ${words[-1]} == *[@:]) ]]; then
            ((index == COMP_CWORD)) && before=${words[-1]}
            words[-1]+=$word
        else
            words+=("$word")
            starts+=("$index")
        fi
        ((index == COMP_CWORD)) && cursor=$((${#words[@]} - 1))
    done
    # The reply replaces the piece at the cursor, to which an "@" before it belongs and a ":" does not.
    before=${before%@}
    [[ ${COMP_WORDS[COMP_CWORD]} == :* ]] && before=${words[cursor]}
    mapfile -t answer < <("${words[0]}" --complete "$cursor" "${words[@]:1}" 2>/dev/null)
    kind=${answer[0]-}
    COMPREPLY=()
    case $kind in
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
            ;;
        commands*)
            if declare -F _command_offset >/dev/null; then
                _command_offset "${starts[${kind#commands }]-$COMP_CWORD}"
            else
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -c -f -- "${COMP_WORDS[COMP_CWORD]}")
            fi
            ;;
        *)
            for line in "${answer[@]:1}"; do
                line=${line%%$'\t'*}
                COMPREPLY+=("$(printf '%q' "${line#"$before"}")")
            done
            ;;
    esac
}

complete -F _spalloc spalloc spalloc-job spalloc-ps spalloc-machine spalloc-where-is spalloc-config
