# Completion of spalloc's commands for bash: the command itself says what can stand at the cursor.
#
# Loaded by bash-completion from share/bash-completion/completions, or by:  eval "$(spalloc --completion bash)"

_spalloc() {
    local kind line
    local -a answer
    mapfile -t answer < <("${COMP_WORDS[0]}" --complete "$COMP_CWORD" "${COMP_WORDS[@]:1}" 2>/dev/null)
    kind=${answer[0]-}
    COMPREPLY=()
    case $kind in
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
            ;;
        commands*)
            if declare -F _command_offset >/dev/null; then
                _command_offset "${kind#commands }"
            else
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -c -f -- "${COMP_WORDS[COMP_CWORD]}")
            fi
            ;;
        *)
            for line in "${answer[@]:1}"; do
                COMPREPLY+=("$(printf '%q' "${line%%$'\t'*}")")
            done
            ;;
    esac
}

complete -F _spalloc spalloc spalloc-job spalloc-ps spalloc-machine spalloc-where-is
