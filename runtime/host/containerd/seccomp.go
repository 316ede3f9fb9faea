package containerd

import (
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// systemCalls is Docker's default profile. runc compiles it anew in each start, in a time that grows with the square of its
// length, and each architecture has all rules over again: the one that this kernel cannot run is left out. On two cores
// that is a tenth of all the work of a start.
func systemCalls(s *specs.Spec) *specs.LinuxSeccomp {
	p := seccomp.DefaultProfile(s)
	if !x32() {
		p.Architectures = slices.DeleteFunc(p.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
	}
	return p
}

// x32 asks whether this kernel has the x32 system calls; most are built without. It has if one that is certainly there is.
// It does not ask where it is itself under a profile, which may kill those who ask.
var x32 = sync.OnceValue(func() bool {
	const bit, getpid = 0x40000000, 39
	if runtime.GOARCH != "amd64" {
		return false
	}
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	if err != nil || mode != 0 {
		return true
	}
	_, _, errno := unix.RawSyscall(bit|getpid, 0, 0, 0)
	return !errors.Is(errno, unix.ENOSYS)
})
