import subprocess,sys,os,glob,time
root=os.getcwd(); build='/tmp/mut'; os.makedirs(build,exist_ok=True)
rows=[]
for line in open('test/sim/mutants.list'):
    line=line.rstrip('\n')
    if not line or line.startswith('#'): continue
    parts=[x for x in line.replace('\\|','\0').split(' | ')]
    parts=[x.replace('\0','|').replace('\\n','\n') for x in parts]
    rows.append(parts)
only=sys.argv[1:] 
for name,file,old,new in rows:
    if only and name not in only: continue
    s=open(file).read()
    old=old.strip(' '); new=new.strip(' ')
    if s.count(old)!=1: print(name,'STALE',s.count(old)); continue
    d=build+'/'+name; os.makedirs(d,exist_ok=True)
    subprocess.run(['rm','-rf',d+'/t']); 
    subprocess.run(['cp','-r','uring','net','proto','test','--parents',d] if False else 'mkdir -p %s/t && cp -r uring net %s/t/ && mkdir -p %s/t/test && cp -r test/sim %s/t/test/'%(d,d,d,d),shell=True)
    open(d+'/t/'+file,'w').write(s.replace(old,new))
    files=[file] if file.endswith('.c') else [f for f in glob.glob('net/*.c')+glob.glob('uring/*.c') if 'bpf' not in f]
    cmd='cd %s/t && gcc -w -O2 -g -std=gnu11 -D_GNU_SOURCE %s %s/test/sim/*.c %s/build/rel/libweir.a -lpthread -lbpf -lelf -lz -o ../sim'%(d,' '.join(files),root,root)
    r=subprocess.run(cmd,shell=True,capture_output=True,text=True)
    if r.returncode: print(name,'NO BUILD',r.stderr[:600]); continue
    t=time.time()
    try:
        r=subprocess.run([d+'/sim','1','60000'],capture_output=True,text=True,timeout=15)
        out=(r.stdout+r.stderr).strip().splitlines()
        why='rc %d'%r.returncode
        if out: why+=' '+(out[0] if r.returncode else out[-1])
        print('%-36s %s %.2fs %s'%(name,'killed' if r.returncode else 'SURVIVES',time.time()-t,why[:130]),flush=True)
    except subprocess.TimeoutExpired:
        print('%-36s TIMEOUT'%name,flush=True)
