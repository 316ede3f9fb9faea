package containerd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// errInvalid marks a task that cannot run as it is written, here or on any other node.
var errInvalid = errors.New("invalid task")

// plainUser answers without looking into the image where nothing of it is needed: root, or both ids given as numbers.
func plainUser(spec string) (specs.User, bool) {
	if spec == "" || spec == "root" || spec == "0" {
		return specs.User{}, true
	}
	u, g, both := strings.Cut(spec, ":")
	uid, errU := strconv.ParseUint(u, 10, 31)
	gid, errG := strconv.ParseUint(g, 10, 31)
	if !both || errU != nil || errG != nil {
		return specs.User{}, false
	}
	return specs.User{UID: uint32(uid), GID: uint32(gid)}, true
}

// lookUpUser finds spec ("user", "uid", "user:group", "uid:gid") in the passwd and group files of the image mounted at root.
func lookUpUser(root, spec string) (specs.User, error) {
	passwd, err := openInside(root, "etc/passwd")
	if err != nil {
		return specs.User{}, err
	}
	defer func() { _ = passwd.Close() }()
	group, err := openInside(root, "etc/group")
	if err != nil {
		return specs.User{}, err
	}
	defer func() { _ = group.Close() }()
	found, err := user.GetExecUser(spec, nil, passwd, group)
	if err != nil {
		return specs.User{}, fmt.Errorf("%w: user %q: %v", errInvalid, spec, err)
	}
	u := specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, g := range found.Sgids {
		u.AdditionalGids = append(u.AdditionalGids, uint32(g))
	}
	return u, nil
}

// openInside opens a file of the image without following links out of it. A file that is not there is an empty one.
func openInside(root, name string) (io.ReadCloser, error) {
	f, err := os.OpenInRoot(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read /%s of the image: %v", errInvalid, name, err)
	}
	return f, nil
}
