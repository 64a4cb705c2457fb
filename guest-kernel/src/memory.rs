//! `memcpy` and its family: the compiler calls them, and there is no C library to have them.
//!
//! Small copies are one or two overlapping moves, middle ones a loop of 32 bytes, long ones
//! `rep movsb`, whose start costs some 30 cycles. All are correct for `memmove` in the forward
//! direction because a chunk is loaded whole before it is stored, and the last chunk first.

core::arch::global_asm!(
    r#"
    .pushsection .text.memory, "ax", @progbits

    .global memcpy, memmove, memset, memcmp, bcmp
    .type memcpy, @function
    .type memmove, @function
    .type memset, @function
    .type memcmp, @function
    .type bcmp, @function

memmove:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rdx            # unsigned: dest - src < length means dest lies inside src
    jb 5f
memcpy:
    mov rax, rdi
    cmp rdx, 16
    jb 3f
    cmp rdx, 32
    ja 1f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
1:  cmp rdx, 1024
    ja 2f
    movups xmm4, [rsi + rdx - 32]
    movups xmm5, [rsi + rdx - 16]
    lea r8, [rdi + rdx - 32]
4:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    add rsi, 32
    add rdi, 32
    cmp rdi, r8
    jb 4b
    movups [r8], xmm4
    movups [r8 + 16], xmm5
    ret
2:  mov rcx, rdx
    rep movsb
    ret
3:  cmp edx, 8
    jb 31f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
31: cmp edx, 4
    jb 32f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
32: test edx, edx
    jz 33f
    movzx ecx, byte ptr [rsi]
    movzx r8d, byte ptr [rsi + rdx - 1]
    mov r9, rdx
    shr r9, 1
    movzx r10d, byte ptr [rsi + r9]
    mov [rdi + r9], r10b
    mov [rdi], cl
    mov [rdi + rdx - 1], r8b
33: ret

# memmove to a higher, overlapping address: from the end down.
5:  mov rax, rdi
    cmp rdx, 16
    jb 3b
    cmp rdx, 32
    ja 6f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
6:  movups xmm4, [rsi]
    movups xmm5, [rsi + 16]
7:  movups xmm0, [rsi + rdx - 16]
    movups xmm1, [rsi + rdx - 32]
    movups [rdi + rdx - 16], xmm0
    movups [rdi + rdx - 32], xmm1
    sub rdx, 32
    cmp rdx, 32
    ja 7b
    movups [rdi], xmm4
    movups [rdi + 16], xmm5
    ret

memset:
    mov r8, rdi
    movzx eax, sil
    mov rcx, 0x0101010101010101
    imul rax, rcx
    cmp rdx, 16
    jb 3f
    cmp rdx, 1024
    ja 2f
    movq xmm0, rax
    punpcklqdq xmm0, xmm0
    lea rcx, [rdi + rdx - 16]
1:  movups [rdi], xmm0
    add rdi, 16
    cmp rdi, rcx
    jb 1b
    movups [rcx], xmm0
    mov rax, r8
    ret
2:  mov rcx, rdx
    rep stosb
    mov rax, r8
    ret
3:  cmp edx, 8
    jb 31f
    mov [rdi], rax
    mov [rdi + rdx - 8], rax
    mov rax, r8
    ret
31: test edx, edx
    jz 33f
32: mov [rdi + rdx - 1], al
    dec edx
    jnz 32b
33: mov rax, r8
    ret

memcmp:
bcmp:
    xor ecx, ecx
1:  lea r8, [rcx + 8]
    cmp r8, rdx
    ja 2f
    mov rax, [rdi + rcx]
    mov r9, [rsi + rcx]
    mov rcx, r8
    cmp rax, r9
    je 1b
    bswap rax
    bswap r9
    cmp rax, r9
    sbb eax, eax
    or eax, 1
    ret
2:  cmp rcx, rdx
    je 3f
    movzx eax, byte ptr [rdi + rcx]
    movzx r9d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r9d
    je 2b
    ret
3:  xor eax, eax
    ret
    .popsection
"#
);
